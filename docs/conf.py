"""Configuration of the documentation's site; docs/contributing.md says how it is built."""

import sys
from pathlib import Path

from ablate import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ablate"
author = "the authors of ablate"
release = version = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "reference"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # a notebook is committed with its output

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_use_ivar = True  # the attributes of a class as one list
smartquotes = False  # they change options and JSON outside of code
default_role = "code"  # docstrings have code in single backticks

html_theme = "furo"
html_title = "ablate"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
