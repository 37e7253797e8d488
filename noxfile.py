"""The tests under every supported Python: ``make test-pythons``."""

import os

import nox

PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Install audiocx with its development tools, and run the tests; arguments after ``--`` go to pytest."""
    flags = os.environ.get("PIP_FLAGS", "").split()
    session.install(*flags, "--constraint", "constraints.txt", "--editable", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS)
def light(session: nox.Session) -> None:
    """Install audiocx without extras, and run the tests of the light install."""
    flags = os.environ.get("PIP_FLAGS", "").split()
    session.install(*flags, "--constraint", "constraints.txt", ".", "pytest")
    session.run("pytest", "-m", "light", "tests/light")
