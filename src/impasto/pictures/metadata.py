"""Recipes inside picture files: a JSON text in an XMP packet, where other programs keep it."""

from __future__ import annotations

import os
import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from impasto.pictures.decode import open_lazy
from impasto.pictures.read import open_picture

XMP_NAMESPACE = "https://impasto.dev/ns/1/"

_XMP_TEMPLATE = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:impasto="{namespace}">
<impasto:recipe>{recipe}</impasto:recipe>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""

_INVALID_XML_CHARS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xmp_packet(recipe: str) -> bytes:
    """An XMP packet that holds ``recipe``, a JSON text.

    Characters that XML cannot hold become JSON escapes; everything else is kept as it is.
    """
    safe = _INVALID_XML_CHARS.sub(lambda found: f"\\u{ord(found[0]):04x}", recipe)
    escaped = escape(safe, {"\r": "&#13;"})
    return _XMP_TEMPLATE.format(namespace=XMP_NAMESPACE, recipe=escaped).encode("utf-8")


def read_recipe(path: str | os.PathLike[str]) -> str | None:
    """The recipe in a picture file that Impasto wrote, as JSON text; None if it holds none.

    Raises:
        InputError: a file that is missing, unreadable, damaged or no picture.
    """
    with open_picture(path) as (file, kind):
        if kind not in ("JPEG", "PNG", "WebP", "AVIF", "TIFF"):
            return None
        image = open_lazy(file, kind, os.fspath(path))
        if "xmp-data" not in image.get_fields():
            return None
        xmp = bytes(image.get("xmp-data"))
    if b"<!DOCTYPE" in xmp:  # no XMP packet has one; its entities could fill the memory
        return None
    try:
        found = ElementTree.fromstring(xmp.strip(b"\0 \r\n\t")).iter(f"{{{XMP_NAMESPACE}}}recipe")
    except (ElementTree.ParseError, ValueError):
        return None
    return next((element.text for element in found), None)
