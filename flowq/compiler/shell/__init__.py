"""Shell scripts of jobs: how a value gets into a script without becoming a part of it.

The promise: *a value is one word; to the shell that runs the script it is never syntax. What other programs do with their arguments is
theirs.* Each `${{ }}` becomes an environment variable, and the script, which is the same for every value, refers to it in quotes.

Two things could break that. The place may be one where quotes do not protect, such as `$'…'` or arithmetic: `quoting` knows the places.
Or the shell reads its words a second time, as `eval` and `sh -c` do: `rereading` is the closed list of these commands. It has no table of
other programs. Where the scanner is not sure how a shell reads on, it refuses what follows: a refusal costs a line, a wrong guess executes
a value. All refusals have the same remedy, which is in `refusals`.

    interpolation  a script with `${{ }}` -> a constant script and its variables
    quoting        words: quotes, expansions, here-documents; for each value how it is written at its place, or why it cannot stand there
    scanner        commands: what a word is to the shell, and which statement it belongs to
    rereading      a command -> the values in it that the shell would read again, and whether a shell reads its script from standard input
    refusals       the reasons and the remedy
    variables      variables that change how programs load
    shebang        a warning: a first line `#!…` that names another interpreter
    secret_leaks   warnings: lines that put a secret into the job's result or log
"""
