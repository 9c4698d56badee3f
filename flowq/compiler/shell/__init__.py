"""Shell scripts of jobs: values are put in as quoted variables, and a script in which that is not safe is refused."""
