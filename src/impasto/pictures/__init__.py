"""Reading and writing pictures, other sizes, contact sheets."""

from impasto.pictures.contact_sheet import make_contact_sheet, write_animation
from impasto.pictures.convert import as_picture
from impasto.pictures.disk_array import DiskArray
from impasto.pictures.metadata import read_recipe
from impasto.pictures.read import read
from impasto.pictures.resize import fit_long_side, resize
from impasto.pictures.write import atomic_write, check_writable, write, write_bytes

__all__ = [
    "DiskArray",
    "as_picture",
    "atomic_write",
    "check_writable",
    "fit_long_side",
    "make_contact_sheet",
    "read",
    "read_recipe",
    "resize",
    "write",
    "write_animation",
    "write_bytes",
]
