# Start-up of an interactive zsh in a SEMO session. ZDOTDIR leads here only; it is the user's again before any file of
# theirs is read, and all of their files are. The marks (OSC 133) are set up at the first prompt, after those files.

if [[ -n ${SEMO_USER_ZDOTDIR-} ]]; then
    ZDOTDIR=$SEMO_USER_ZDOTDIR
else
    unset ZDOTDIR
fi
typeset -g __semo_aid=${SEMO_MARK_ID-}
unset SEMO_MARK_ID SEMO_USER_ZDOTDIR

__semo_set_up() {
    setopt localoptions noksharrays noshwordsplit
    # zsh calls a plain `precmd` before any of the list; it too comes after the end of the output is marked.
    if (( ${+functions[precmd]} )); then
        functions -c precmd __semo_user_precmd
        unfunction precmd
        precmd_functions=(__semo_user_precmd $precmd_functions)
    fi
    precmd_functions=(__semo_before_prompt ${precmd_functions:#__semo_(before|after|first)*} __semo_after_prompt)
    preexec_functions=(${preexec_functions:#__semo_*} __semo_before_command)
    typeset -g __semo_previous=0 __semo_started=yes __semo_mark_partial_line=${options[promptsp]}
}

# First of all prompt hooks: what the user's hooks print is not output of the program.
__semo_before_prompt() {
    local exit_status=$?
    # After a syntax error `$?` is still that of the command before: nothing is said about it.
    if [[ -z $__semo_started && $exit_status == $__semo_previous ]]; then
        printf '\e]133;D;;aid=%s\a' "$__semo_aid"
    else
        printf '\e]133;D;%s;aid=%s\a' "$exit_status" "$__semo_aid"
    fi
    typeset -g __semo_previous=$exit_status __semo_started=
    # zsh itself would mark a partial line before the end of the output is marked.
    if [[ $__semo_mark_partial_line == on ]]; then
        print -nP "%B%S%#%s%b${(l:COLUMNS - 1:: :):-}"$'\r \r'
    fi
    return $exit_status
}

# Last of all prompt hooks: whatever the user's hooks did to the prompts, they carry the marks.
__semo_after_prompt() {
    setopt localoptions noksharrays noshwordsplit
    local esc=$'\e]133;' end=";aid=$__semo_aid"$'\a'
    local a="%{${esc}A${end}%}" b="%{${esc}B${end}%}" right="%{${esc}P;k=r${end}%}"
    local a2="%{${esc}A;k=s${end}%}" b2="%{${esc}B;k=s${end}%}"
    PS1=$a${${PS1//$a/}//$b/}$b
    PS2=$a2${${PS2//$a2/}//$b2/}$b2
    if [[ -n ${RPROMPT-} ]]; then
        RPROMPT=$right${RPROMPT//$right/}
    fi
}

__semo_before_command() {
    typeset -g __semo_started=yes
    printf '\e]133;C;aid=%s\a' "$__semo_aid"
}

if [[ -o interactive ]]; then
    __semo_first_prompt() {
        __semo_set_up
        # A pasted `!` is text, whatever the user's files say. A function with local options would undo it.
        unsetopt banghist promptsp
        __semo_before_prompt
        __semo_after_prompt
        unfunction __semo_first_prompt __semo_set_up
    }
    # zsh prepares the history of a line before it calls any hook: for the first line it must be off by now.
    unsetopt banghist
    typeset -ga precmd_functions
    precmd_functions+=(__semo_first_prompt)
fi

if [[ -r ${ZDOTDIR:-$HOME}/.zshenv ]]; then
    source ${ZDOTDIR:-$HOME}/.zshenv
fi
