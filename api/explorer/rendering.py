"""Templates to responses: the environment of all templates, and the headers of every page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from api.explorer import values
from api.explorer.assets import Assets
from api.explorer.vocabulary import LABELS

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
FILTERS = (
    values.age,
    values.chain_short,
    values.chain_text,
    values.day,
    values.day_and_time,
    values.middle,
    values.number,
    values.percent,
    values.to_the_second,
    values.visible,
    values.web_host,
    values.words,
)


class Templates:
    """Renders templates. `site` is what every template knows of the site."""

    def __init__(self, assets: Assets, site: Mapping[str, Any]) -> None:
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters |= {filter.__name__: filter for filter in FILTERS}
        environment.globals |= {"asset": assets.address, "site": site, "LABELS": LABELS, "ZERO_ADDRESS": f"0x{0:040x}"}
        self._templates = Jinja2Templates(env=environment)

    def response(
        self,
        request: Request,
        template: str,
        context: dict[str, Any],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Returns the rendered template."""
        return self._templates.TemplateResponse(request, template, context, status, {**HEADERS, **(headers or {})})
