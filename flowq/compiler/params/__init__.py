"""Params: declarations and given values go in, checked values and static types come out.

Start with `params`, which declares and binds; `types` converts and checks values, `file` reads `--params-file`.
"""
