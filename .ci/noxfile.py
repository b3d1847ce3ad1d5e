"""What can be checked, each by a name: `nox -f .ci/noxfile.py -s quick`. It uses the environment that the README sets up."""

from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
PYTHON = str(ROOT / ".venv" / "bin" / "python")
nox.options.default_venv_backend = "none"
nox.options.sessions = ["style", "quick"]

COMMANDS = {
    "quick": [["-m", "pytest"]],
    "slower": [["-m", "pytest", "-m", "slower", "-n", "3"]],
    "slow": [["-m", "pytest", "-m", "slow"]],
    "style": [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."], ["-m", "mypy"]],
    "lowest": [["-m", "tests.lowest", "-q"]],
    "packages": [["-m", "tests.packages"]],
    "docs": [["-m", "sphinx", "-W", "-b", "html", "docs", "docs/_build/html"]],
}


def session(name: str) -> None:
    def run(session: nox.Session) -> None:
        session.chdir(ROOT)
        for command in COMMANDS[name]:
            session.run(PYTHON, *command, *session.posargs, external=True)

    run.__doc__ = " && ".join(f"python {' '.join(command)}" for command in COMMANDS[name])
    nox.session(run, name=name)


for name in COMMANDS:
    session(name)
