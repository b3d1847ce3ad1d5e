"""With this folder and `tests` in PYTHONPATH, processes that ablate starts have the pretended devices, too."""

from pretended import wanted

if wanted():
    from pretended.installed import install

    install(wanted())
