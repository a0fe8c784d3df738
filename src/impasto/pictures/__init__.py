"""Reading and writing pictures, other sizes, contact sheets."""

from impasto.pictures.contact_sheet import animation, sheet
from impasto.pictures.convert import from_any
from impasto.pictures.disk_array import Spool
from impasto.pictures.metadata import read_recipe
from impasto.pictures.read import read
from impasto.pictures.resize import fit_long_side, resize
from impasto.pictures.write import check_writable, replace, replacing, write

__all__ = [
    "Spool",
    "animation",
    "check_writable",
    "fit_long_side",
    "from_any",
    "read",
    "read_recipe",
    "replace",
    "replacing",
    "resize",
    "sheet",
    "write",
]
