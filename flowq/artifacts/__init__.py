"""Artifacts: files that jobs leave for other jobs and for people, and the stores in which their contents are.

    limits      how much may be kept
    paths       which names of files may stand in a manifest
    manifest    the files of one artifact: path, size and SHA-256 of each
    blobs       `BlobStore`: contents by their SHA-256; what every store promises
    file_store  a directory as a store (`file://`)
    remote      other places (`s3://` …), through fsspec
    opening     the store of an address
    transfer    the program that moves files between a directory and a store, so that a horse does not load what that takes

A content is written under its digest and checked on its way in and out: a store that loses, alters or mixes up files is noticed.
Which run has which files is in the records of its jobs, not here.
"""
