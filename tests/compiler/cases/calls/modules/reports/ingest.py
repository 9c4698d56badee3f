"""Callables for jobs that look like real ones."""


def list_files(day: str = "", options: object = None) -> list[dict[str, str]]:
    return [{"name": day, "options": str(options)}]


def fetch_one(name: object, *rest: object) -> dict[str, object]:
    return {"name": name, "rest": rest}


def fetch(files: object, options: object = None, **more: object) -> dict[str, object]:
    return {"files": files, "options": options, **more}
