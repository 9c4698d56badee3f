"""Packages that are built on RQ, tried with their own tests: on RQ, and on flowq in an environment without RQ.

    packages      the table: names, versions, where their tests are, what differs
    environments  downloads the packages and makes the environments, below `.clients`
    suites        runs the tests of one package on one of the two
    site/         what each interpreter of such a run loads first
    overlays/     files that a published archive of tests needs and does not have

`make test` runs those of `packages.QUICK` on flowq, `make clients` runs all on both and prints a table.
"""
