"""iTerm2 for machines that have none: its API protocol, with real programs behind it.

What talks to it is unmodified: the `iterm2` library, or a command line made of it.

    with RunningITerm2.start() as iterm2:      # tests.iterm2_server.running
        os.environ.update(iterm2.environment)  # HOME and ITERM2_COOKIE
        connection = await iterm2_library.Connection.async_create()
        ...
        iterm2.by_hand("close_tab", session=guid)

`python -m tests.iterm2_server --home DIR` starts it alone; `--help` names the options. It
listens on `DIR/Library/Application Support/iTerm2/private/socket` (the whole path has to fit in 104 bytes: keep DIR
short) and, for what a person does by hand, on `DIR/by-hand`. When both listen it prints one line of JSON:

    {"socket": PATH, "by_hand": PATH, "pid": PID}

It ends on SIGTERM, SIGINT, and with `--leash` when its standard input does; its programs end with it.

What differs from iTerm2: titles and frames are plausible, not exact; an alternate screen never adds to the scrollback;
images, hyperlinks, triggers, tmux integration, status bars, tools and
key monitors are answered as by an iTerm2 that does not know them.
"""
