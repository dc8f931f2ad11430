"""How the documentation is built. The build needs no network."""

import os

import skrnn

# sphinx-gallery runs the examples here; tiny networks gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "skrnn"
author = "the skrnn developers"
copyright = "2026, the skrnn developers"
version = release = skrnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "auto_examples/*.ipynb"]

autosummary_generate = True
autodoc_typehints = "none"  # shapes and ranges in the docstrings say more
numpydoc_show_class_members = False  # the class template lists them
numpydoc_class_members_toctree = False
suppress_warnings = ["ref.term"]  # sktime's docstrings refer to its own glossary

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(quickstart|several_processes)\.py",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "reset_modules": ("matplotlib",),
}

html_theme = "pydata_sphinx_theme"
html_title = f"skrnn {release}"
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
html_sidebars = {"install": [], "design": [], "contributing": []}
