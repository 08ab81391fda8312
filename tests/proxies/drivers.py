"""One driver a proxy: takes the files that `doorward proxy-snippet` prints, puts this test's port and certificates in
their places, and starts the proxy. `traits` name what it does differently from the table's words."""

import re
import time

from world import GivenUp, find

HOSTS = [
    "photos.home.example", "notes.home.example", "public.home.example", "mail.home.example", "films.other.example",
    "songs.other.example", "wiki.third.example", "doctor.home.example",
]
PORTALS = ["auth.home.example", "auth.other.example"]
DRIVERS = {}


def driver(name):
    """Registers a driver under the name that the command line knows."""

    def add(cls):
        cls.name = name
        DRIVERS[name] = cls
        return cls

    return add


def replace(text, *pairs):
    """Replaces what must be there."""
    for old, new in pairs:
        if old not in text:
            raise AssertionError(f"the file has no line {old!r}")
        text = text.replace(old, new)
    return text


class Driver:
    """What all have in common."""

    traits = {}
    #: What this build of Doorward must be able to do for this proxy.
    needs = None

    def __init__(self, world):
        self.world = world
        self.place = world.place

    def write(self, name, text):
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def certificate(self, kind):
        return self.world.certificates / {"pem": "site.pem", "key": "site.key", "both": "both.pem"}[kind]

    def start(self):
        self.configure()
        self.world.start(self.name, self.command(), self.environment())
        self.world.wait_for_port(self.world.port, self.name, self.world.address)
        # The port is open before certificates and routes are there.
        for _ in range(200):
            try:
                if self.world.browser().visit(self.world.portal + "/signin").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise GivenUp(f"{self.name} does not serve the portal")

    def environment(self):
        return {}


class Scripted(Driver):
    """A proxy that asks by a script of ours."""

    def break_script(self):
        path = self.place / "doorward.lua"
        path.write_text(replace(path.read_text(), *self.breakage))
        self.world.stop(self.name)
        self.world.start(self.name, self.command(), self.environment())
        self.world.wait_for_port(self.world.port, self.name)


class NginxLike(Driver):
    """nginx from Debian, over whatever sites the driver makes."""

    more_http = ""

    def command(self):
        return [find("nginx"), "-p", self.place, "-c", self.place / "nginx.conf"]

    def secure(self, text):
        """Puts port and certificates of this test into a server block."""
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.world.port} ssl;")
        text = re.sub(r"# ssl_certificate_key .*", f"ssl_certificate_key {self.certificate('key')};", text)
        return re.sub(r"# ssl_certificate .*", f"ssl_certificate {self.certificate('pem')};", text)

    def portals(self, text):
        """The portal's site, for all portals of the test."""
        return replace(text, ("server_name auth.home.example;", f"server_name {' '.join(PORTALS)};"))

    def write_main(self):
        (self.place / "temp").mkdir(exist_ok=True)
        temp = "".join(
            f"  {kind}_temp_path {self.place}/temp/{kind};\n" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        self.write("nginx.conf", f"""daemon off;
worker_processes 1;
pid {self.place}/nginx.pid;
error_log {self.place}/nginx-error.log warn;
events {{}}
http {{
  access_log off;
  # The worst case: the client's Remote_User gets as far as the snippet.
  underscores_in_headers on;
  ignore_invalid_headers {'on' if self.drops_invalid else 'off'};
{temp}{self.more_http}
  server {{
    listen {self.world.address}:{self.world.port} ssl default_server;
    ssl_certificate {self.certificate('pem')};
    ssl_certificate_key {self.certificate('key')};
    return 444;
  }}
  include {self.place}/sites/*.conf;
}}
""")

    drops_invalid = True


@driver("nginx")
class Nginx(NginxLike):
    """The files of packaging/proxy/nginx."""

    def configure(self):
        for host in HOSTS:
            files = self.world.snippet("nginx", host)
            self.write(f"sites/{host}.conf", self.secure(files[f"{host}.conf"]))
        for name in ["doorward-location.conf", "doorward-authrequest.conf"]:
            self.write(f"snippets/{name}", files[name])
        self.write("sites/portal.conf", self.portals(self.secure(files["auth.home.example.conf"])))
        self.write_main()


@driver("npm")
class NginxProxyManager(NginxLike):
    """The text for the tab Advanced, in a server block as Nginx Proxy Manager writes it."""

    def configure(self):
        for host in HOSTS:
            files = list(self.world.snippet("npm", host).values())
            self.write(f"sites/{host}.conf", self.block(host, self.world.app_port, files[0]))
        # Without a location of its own for "/", Nginx Proxy Manager adds this one.
        proxy = """location / {
    add_header X-Served-By $host;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-Scheme $scheme;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_pass $forward_scheme://$server:$port$request_uri;
  }"""
        self.write("sites/portal.conf", self.block(" ".join(PORTALS), self.world.doorward_port, files[1] + proxy))
        self.write_main()

    def block(self, names, port, advanced):
        return f"""server {{
  set $forward_scheme http;
  set $server "127.0.0.1";
  set $port {port};
  listen 127.0.0.1:{self.world.port} ssl;
  server_name {names};
  ssl_certificate {self.certificate('pem')};
  ssl_certificate_key {self.certificate('key')};
  proxy_http_version 1.1;
{advanced}
}}
"""


@driver("swag")
class Swag(NginxLike):
    """The files of packaging/proxy/swag, beside SWAG's own proxy.conf and ssl.conf."""

    more_http = "  map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n"

    def configure(self):
        for host in HOSTS:
            files = self.world.snippet("swag", host)
            # The samples of SWAG have a wildcard there.
            text = replace(files[f"{host}.subdomain.conf"], (f"server_name {host};", f"server_name {host.split('.')[0]}.*;"))
            self.write(f"sites/{host}.conf", self.move(text))
        self.write("sites/portal.conf", self.portals(self.move(files["doorward.subdomain.conf"])))
        for name in ["doorward-server.conf", "doorward-location.conf"]:
            self.write(f"config/{name}", files[name])
        self.write("config/ssl.conf", f"ssl_certificate {self.certificate('pem')};\nssl_certificate_key {self.certificate('key')};\n")
        self.write("config/proxy.conf", """proxy_http_version 1.1;
proxy_set_header Connection $connection_upgrade;
proxy_set_header Early-Data $ssl_early_data;
proxy_set_header Host $http_host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Host $http_host;
proxy_set_header X-Forwarded-Method $request_method;
proxy_set_header X-Forwarded-Port $server_port;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Forwarded-Server $host;
proxy_set_header X-Forwarded-Ssl on;
proxy_set_header X-Forwarded-Uri $request_uri;
proxy_set_header X-Original-Method $request_method;
proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
proxy_set_header X-Real-IP $remote_addr;
""")
        self.write_main()

    def move(self, text):
        return self.secure(text.replace("/config/nginx/", f"{self.place}/config/"))


class CaddyLike(Driver):
    """Some Caddy, over the files of packaging/proxy/caddy."""

    def configure(self):
        for host in HOSTS:
            files = self.world.snippet("caddy", host)
            self.write(f"{host}.caddy", self.secure(files[f"{host}.caddy"], host))
        self.write("portal.caddy", self.secure(files["auth.home.example.caddy"], "auth.home.example", " ".join(
            f"https://{name}:{self.world.port}" for name in PORTALS)))
        self.write("doorward.caddy", files["doorward.caddy"])
        sites = "".join(f"import {host}.caddy\n" for host in HOSTS)
        self.write("Caddyfile", f"""{{
	admin off
	auto_https disable_redirects
	https_port {self.world.port}
	skip_install_trust
	storage file_system {self.place}/storage
}}
import doorward.caddy
{sites}import portal.caddy
""")

    def secure(self, text, host, address=None):
        text = re.sub(r"# tls .*", f"tls {self.certificate('pem')} {self.certificate('key')}", text)
        return text.replace(f"\n{host} {{", f"\n{address or f'https://{host}:{self.world.port}'} {{".replace(" https", ", https"))

    def command(self):
        return [self.program(), "run", "--config", self.place / "Caddyfile"]

    def environment(self):
        return {"HOME": str(self.place), "XDG_CONFIG_HOME": str(self.place), "XDG_DATA_HOME": str(self.place)}


@driver("caddy")
class Caddy(CaddyLike):
    """The present Caddy."""

    def program(self):
        return find("caddy")


@driver("caddy-2.6")
class OldCaddy(CaddyLike):
    """Debian's Caddy, which lets the client's headers through where an answer has none."""

    def program(self):
        return "/usr/bin/caddy"


@driver("traefik")
class Traefik(Driver):
    """The file of packaging/proxy/traefik."""

    def configure(self):
        text = self.world.snippet("traefik", HOSTS[0])["doorward.yml"]
        names = " || ".join(f"Host(`{host}`)" for host in HOSTS)
        portals = " || ".join(f"Host(`{host}`)" for host in PORTALS)
        text = replace(text, (f"Host(`{HOSTS[0]}`)", names), ("Host(`auth.home.example`)", f"({portals})"))
        text += f"""
tls:
  certificates:
    - certFile: {self.certificate('pem')}
      keyFile: {self.certificate('key')}
"""
        self.write("dynamic/doorward.yml", text)
        self.write("traefik.yml", f"""global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: WARN
entryPoints:
  websecure:
    address: 127.0.0.1:{self.world.port}
providers:
  file:
    directory: {self.place}/dynamic
""")

    def command(self):
        return [find("traefik"), f"--configFile={self.place}/traefik.yml"]


@driver("haproxy")
class Haproxy(Scripted):
    """The files of packaging/proxy/haproxy, in Debian's HAProxy."""

    breakage = [("    local seen = txn.http:req_get_headers()", '    error("broken")\n    local seen = {}')]

    def configure(self):
        files = self.world.snippet("haproxy", HOSTS[0])
        self.write("doorward.lua", files["doorward.lua"])
        names = " ".join(HOSTS)
        self.write("haproxy.cfg", replace(
            files["haproxy.cfg"],
            ("/etc/haproxy/doorward.lua", f"{self.place}/doorward.lua"),
            ("bind :443 ssl crt /etc/haproxy/certificates/", f"bind 127.0.0.1:{self.world.port} ssl crt {self.certificate('both')}"),
            (f",lower {HOSTS[0]}", f",lower {names}"),
            (",lower auth.home.example", f",lower {' '.join(PORTALS)}"),
        ))

    def command(self):
        return [find("haproxy"), "-db", "-f", self.place / "haproxy.cfg"]


@driver("envoy")
class Envoy(Driver):
    """The file of packaging/proxy/envoy."""

    needs = "ext-authz"

    def configure(self):
        text = self.world.snippet("envoy", HOSTS[0])["envoy.yaml"]

        def domains(hosts):
            return "domains: [" + ", ".join(f'"{host}", "{host}:*"' for host in hosts) + "]"

        self.write("envoy.yaml", replace(
            text,
            ("address: 0.0.0.0, port_value: 443", f"address: 127.0.0.1, port_value: {self.world.port}"),
            ("/etc/envoy/auth.home.example.pem", str(self.certificate("pem"))),
            ("/etc/envoy/auth.home.example.key", str(self.certificate("key"))),
            (domains(HOSTS[:1]), domains(HOSTS)), (domains(PORTALS[:1]), domains(PORTALS)),
        ))

    def command(self):
        return [find("envoy"), "-c", self.place / "envoy.yaml", "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"]


@driver("apache")
class Apache(Scripted):
    """The files of packaging/proxy/apache, in Debian's Apache."""

    breakage = [("function check(r)\n", 'function check(r)\n    error("broken")\n')]

    modules = [
        "mpm_event", "authz_core", "ssl", "lua", "headers", "proxy", "proxy_http", "socache_shmcb", "setenvif",
    ]

    def configure(self):
        for host in HOSTS:
            files = self.world.snippet("apache", host)
            self.write(f"sites/{host}.conf", self.secure(files[f"{host}.conf"]))
        self.write("doorward.lua", files["doorward.lua"])
        self.write("sites/portal.conf", replace(
            self.secure(files["auth.home.example.conf"]),
            ("ServerName auth.home.example", f"ServerName auth.home.example\n    ServerAlias {PORTALS[1]}")))
        loads = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in self.modules)
        self.write("apache2.conf", f"""{loads}
ServerRoot {self.place}
ServerName localhost
PidFile {self.place}/apache2.pid
DefaultRuntimeDir {self.place}
User www-data
Group www-data
ErrorLog {self.place}/apache2-error.log
LogLevel warn
Listen 127.0.0.1:{self.world.port}
<VirtualHost *:{self.world.port}>
    ServerName nobody.invalid
    SSLEngine on
    SSLCertificateFile {self.certificate('pem')}
    SSLCertificateKeyFile {self.certificate('key')}
    <Location "/">
        Require all denied
    </Location>
</VirtualHost>
IncludeOptional {self.place}/sites/*.conf
""")

    def secure(self, text):
        text = text.replace("<VirtualHost *:443>", f"<VirtualHost *:{self.world.port}>")
        text = text.replace("/etc/apache2/doorward.lua", f"{self.place}/doorward.lua")
        text = re.sub(r"# SSLCertificateFile .*", f"SSLCertificateFile {self.certificate('pem')}", text)
        return re.sub(r"# SSLCertificateKeyFile .*", f"SSLCertificateKeyFile {self.certificate('key')}", text)

    def command(self):
        return [find("apache2"), "-f", self.place / "apache2.conf", "-D", "FOREGROUND"]
