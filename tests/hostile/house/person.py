"""A person at a browser, as far as signing in at the local PingOne and asking for a page need one."""

import html
import http.client
import http.cookiejar
import json
import re
import urllib.parse
import urllib.request


def sign_in(gateway):
    """Signs ada in; the value of the `Cookie` header that she has from then on."""
    jar = http.cookiejar.CookieJar()
    handlers = [urllib.request.HTTPCookieProcessor(jar)]
    if gateway.tls:
        handlers.append(urllib.request.HTTPSHandler(context=gateway.context()))
    browser = urllib.request.build_opener(*handlers)
    browser.addheaders = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    with browser.open(gateway.origin + "/.vestibule/sign-in?return_to=/public/signed-in", timeout=30) as page:
        text, address = page.read().decode(), page.url
    action = html.unescape(re.search(r'action="([^"]+)"', text)[1])
    flow = html.unescape(re.search(r'name="flowId" value="([^"]+)"', text)[1])
    form = {"flowId": flow, "username": "ada", "password": "lovelace-1843"}
    with browser.open(
        urllib.parse.urljoin(address, action), urllib.parse.urlencode(form).encode(), timeout=30,
    ) as page:
        assert page.url.endswith("/public/signed-in"), page.url
    name = "__Host-vestibule" if gateway.tls else "vestibule"
    return next(f"{cookie.name}={cookie.value}" for cookie in jar if cookie.name == name)


def canary(gateway, name="canary", timeout=20):
    """Asks for a page of one's own by HTTP/1 on a fresh connection, and checks that it is that page."""
    connection = connected(gateway, timeout)
    path = f"/public/canary/{name}"
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 200, (response.status, body)
    return json.loads(body)["target"] == path


def connected(gateway, timeout=20):
    """An HTTP/1 connection that will be made with the first request."""
    if gateway.tls:
        return http.client.HTTPSConnection("localhost", gateway.port, timeout=timeout, context=gateway.context())
    return http.client.HTTPConnection("localhost", gateway.port, timeout=timeout)
