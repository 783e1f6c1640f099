"""What a wheel holds, by what pyproject.toml says: all of the project that runs, and no tests."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOLD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_a_wheel_holds_all_packages_of_the_project_and_no_other():
    folders = {file.parent.relative_to(ROOT) for file in ROOT.glob("[a-z]*/**/*.py")}
    names = {".".join(folder.parts) for folder in folders}

    held = {name for name in names if any(fnmatchcase(name, one) for one in TOLD["packages"]["find"]["include"])}

    assert held == {name for name in names if name.split(".")[0] == "ingest_assets"}
    assert {"ingest_assets", "ingest_assets.load"} <= held < names


def test_a_wheel_holds_the_files_beside_the_code():
    project = ROOT / "ingest_assets"
    files = {file for file in project.rglob("*.*") if file.suffix not in (".py", ".pyc")}

    held = {file for pattern in TOLD["package-data"]["ingest_assets"] for file in project.glob(pattern)}

    assert held == files
