"""Completion scripts for bash, zsh and fish.

They use the protocol of click's shell completion, with one more type of candidates, `path`. click's own scripts break names like
`build[fmt=pdf,lang=en]`: bash splits words at `=`, and the fish script cuts the answer at its first comma. They also put a space after
`sub/` and `name=`, which are to be continued. Names and values are those of files, which may be of others: what the shell would take for
syntax is quoted, in bash by the script; zsh and fish quote what they insert.
"""

from typing import Final

BASH: Final = r"""
_flowq_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" part="${COMP_WORDS[COMP_CWORD]}" current prefix response type value
    local -a words
    local safe='^[][:alnum:]_.,:/=@%+[^-]*$'
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    # bash completes only the part after the last = or :, flowq answers with the whole word
    [[ $part == [=:] ]] && part=""
    prefix="${current%"$part"}"
    prefix="${prefix//\\/}"
    [[ $prefix == --*=* ]] && prefix="${prefix#*=}"
    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) _FLOWQ_COMPLETE=bash_complete "$1")
    while IFS=',' read -r type value; do
        case $type in
            file) COMPREPLY=(); compopt -o default ;;
            dir) COMPREPLY=(); compopt -o dirnames ;;
            path) compopt -o filenames; COMPREPLY+=("${value#"$prefix"}") ;;
            plain)
                value="${value#"$prefix"}"
                [[ $value =~ $safe ]] || printf -v value %q "$value"
                COMPREPLY+=("$value") ;;
        esac
    done <<< "$response"
    # what ends so is to be continued, without a space
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace
    return 0
}

complete -o nosort -F _flowq_completion flowq
"""

ZSH: Final = r"""
#compdef flowq

_flowq_completion() {
    local -a response described plain open
    local type key descr
    (( ! $+commands[flowq] )) && return 1
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) _FLOWQ_COMPLETE=zsh_complete flowq)}")
    for type key descr in ${response}; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain|path)
                if [[ $key == *[/=] ]]; then
                    open+=("$key")  # to be continued, without a space
                elif [[ $descr == "_" ]]; then
                    plain+=("$key")
                else
                    described+=("$key:$descr")
                fi ;;
        esac
    done
    [[ -n $described ]] && _describe -V unsorted described -U
    [[ -n $plain ]] && compadd -U -V unsorted -a plain
    [[ -n $open ]] && compadd -U -S '' -V unsorted -a open
    return 0  # else zsh tries other ways to complete
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    # autoload from fpath, call function directly
    _flowq_completion "$@"
else
    # eval/source/. command, register function for later
    compdef _flowq_completion flowq
fi
"""

FISH: Final = r"""
function _flowq_completion
    set -l response (env _FLOWQ_COMPLETE=fish_complete COMP_WORDS=(commandline -cp | string collect) COMP_CWORD=(commandline -t | string collect) flowq)
    for completion in $response
        set -l parts (string split -m 1 "," -- $completion)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain path
                echo $parts[2]
        end
    end
end

complete --no-files --command flowq --arguments "(_flowq_completion)"
"""
