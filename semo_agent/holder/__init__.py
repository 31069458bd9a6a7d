"""The detached process that keeps PTYs alive: one per host and user, on a private unix socket.

`python -m semo_agent.holder --folder DIR`. The process imports the standard library only, to stay small.
"""
