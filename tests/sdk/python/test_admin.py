"""The admin surface, as the tools of others see it."""

import json
import os
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator


def test_the_document_of_the_admin_surface_is_openapi():
    request = urllib.request.Request(
        f"{os.environ['STORY_URL']}/admin/openapi.json",
        headers={"Authorization": f"Bearer {os.environ['STORY_ADMIN_KEY']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        document = json.load(reply)
    OpenAPIV31SpecValidator(document).validate()
    assert "/admin/keys" in document["paths"]
