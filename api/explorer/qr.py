"""QR codes, as SVG inside a page."""

import io
from functools import lru_cache

from markupsafe import Markup


@lru_cache(maxsize=256)
def qr_code(text: str) -> Markup:
    """Returns the QR code of an address, as an SVG element that fills its place.

    Codes of the last addresses are kept: to make one takes as long as the rest of a template.
    """
    import segno  # slow to import: only pages with a code need it

    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=False,
        omitsize=True,
        border=2,
        light="#fff",
        svgclass="qr",
        lineclass=None,
    )
    return Markup(out.getvalue().decode())  # segno writes numbers alone
