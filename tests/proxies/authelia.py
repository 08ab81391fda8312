"""The configuration that Authelia's documentation prints for nginx, Caddy and HAProxy, with nothing changed but names,
addresses and certificates: whoever moves to Doorward changes one host name. HAProxy loads doorward.lua in the place of
auth-request.lua. What these recipes do not do (delete other spellings of the identity headers, tell scripts from
people) is not asked of them; that is what packaging/proxy is for."""

from drivers import Driver, NginxLike, driver
from world import find

APPS = ["photos", "notes", "public"]
#: What of the table these recipes can do.
COMMON = {
    "anonymous", "form", "claims", "ada", "socket_of_ada", "ada_claims", "bypass", "foreign_scheme", "wrong_group", "step_up", "deny", "killed", "logout", "expiry",
    "domains",
}


class Published(Driver):
    """Listens on the usual port of an address of its own, because the recipes know no other port."""

    def configure(self):
        if (self.world.address, self.world.port) == ("127.0.0.1", 443):
            raise AssertionError("these need an address of their own")
        self.recipe()


@driver("authelia-nginx")
class AutheliaNginx(NginxLike, Published):
    """https://www.authelia.com/integration/proxies/nginx/: four snippets and a site."""

    traits = {"is_published": True, "cases": COMMON, "address": "127.0.0.11", "form": {302}}

    def recipe(self):
        w = self.world
        self.write("snippets/ssl.conf", f"ssl_certificate {self.certificate('pem')};\nssl_certificate_key {self.certificate('key')};\n")
        self.write("snippets/proxy.conf", """proxy_set_header Host $host;
proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Forwarded-Host $http_host;
proxy_set_header X-Forwarded-URI $request_uri;
proxy_set_header X-Forwarded-Ssl on;
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Real-IP $remote_addr;
client_body_buffer_size 128k;
proxy_next_upstream error timeout invalid_header http_500 http_502 http_503;
proxy_redirect http:// $scheme://;
proxy_http_version 1.1;
proxy_cache_bypass $cookie_session;
proxy_no_cache $cookie_session;
proxy_buffers 64 256k;
send_timeout 5m;
proxy_read_timeout 360;
proxy_send_timeout 360;
proxy_connect_timeout 360;
""")
        self.write("snippets/websocket.conf", 'proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection "upgrade";\n')
        self.write("snippets/authelia-location.conf", f"""set $upstream_authelia {w.doorward_url}/api/authz/auth-request;
location /internal/authelia/authz {{
    internal;
    proxy_pass $upstream_authelia;
    proxy_set_header X-Original-Method $request_method;
    proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header Content-Length "";
    proxy_set_header Connection "";
    proxy_pass_request_body off;
    proxy_next_upstream error timeout invalid_header http_500 http_502 http_503;
    proxy_redirect http:// $scheme://;
    proxy_http_version 1.1;
    proxy_cache_bypass $cookie_session;
    proxy_no_cache $cookie_session;
    proxy_buffers 4 32k;
    client_body_buffer_size 128k;
    send_timeout 5m;
    proxy_read_timeout 240;
    proxy_send_timeout 240;
    proxy_connect_timeout 240;
}}
""")
        self.write("snippets/authelia-authrequest.conf", """auth_request /internal/authelia/authz;
auth_request_set $user $upstream_http_remote_user;
auth_request_set $groups $upstream_http_remote_groups;
auth_request_set $name $upstream_http_remote_name;
auth_request_set $email $upstream_http_remote_email;
proxy_set_header Remote-User $user;
proxy_set_header Remote-Groups $groups;
proxy_set_header Remote-Email $email;
proxy_set_header Remote-Name $name;
auth_request_set $redirection_url $upstream_http_location;
error_page 401 =302 $redirection_url;
""")
        sites = f"""server {{
    listen {w.address}:443 ssl;
    server_name auth.*;
    include {self.place}/snippets/ssl.conf;
    set $upstream {w.doorward_url};
    location / {{
        include {self.place}/snippets/proxy.conf;
        proxy_pass $upstream;
    }}
    location = /api/verify {{
        proxy_pass $upstream;
    }}
    location /api/authz/ {{
        proxy_pass $upstream;
    }}
}}
"""
        for app in [*APPS, "films", "songs"]:
            sites += f"""server {{
    listen {w.address}:443 ssl;
    server_name {app}.*;
    include {self.place}/snippets/ssl.conf;
    include {self.place}/snippets/authelia-location.conf;
    set $upstream {w.app_url};
    location / {{
        include {self.place}/snippets/proxy.conf;
        include {self.place}/snippets/websocket.conf;
        include {self.place}/snippets/authelia-authrequest.conf;
        proxy_pass $upstream;
    }}
}}
"""
        self.write("sites/all.conf", sites)
        self.write_main()


@driver("authelia-caddy")
class AutheliaCaddy(Published):
    """https://www.authelia.com/integration/proxies/caddy/"""

    traits = {"is_published": True, "cases": COMMON | {"script", "app_token"}, "address": "127.0.0.12"}

    def recipe(self):
        w = self.world
        tls = f"tls {self.certificate('pem')} {self.certificate('key')}"
        bind = f"bind {w.address}"
        text = f"""{{
    admin off
    auto_https disable_redirects
    skip_install_trust
    storage file_system {self.place}/storage
}}
auth.home.example, auth.other.example {{
    {tls}
    {bind}
    reverse_proxy 127.0.0.1:{w.doorward_port}
}}
"""
        for host in [*(f"{app}.home.example" for app in APPS), "films.other.example", "songs.other.example"]:
            text += f"""{host} {{
    {tls}
    {bind}
    forward_auth 127.0.0.1:{w.doorward_port} {{
        uri /api/authz/forward-auth
        copy_headers Remote-User Remote-Groups Remote-Email Remote-Name
    }}
    reverse_proxy 127.0.0.1:{w.app_port}
}}
"""
        self.write("Caddyfile", text)

    def command(self):
        return [find("caddy"), "run", "--adapter", "caddyfile", "--config", self.place / "Caddyfile"]

    def environment(self):
        return {"HOME": str(self.place), "XDG_CONFIG_HOME": str(self.place), "XDG_DATA_HOME": str(self.place)}


@driver("authelia-haproxy")
class AutheliaHaproxy(Published):
    """https://www.authelia.com/integration/proxies/haproxy/"""

    traits = {"is_published": True, "cases": COMMON, "address": "127.0.0.13", "form": {302}, "down": {302}}

    def recipe(self):
        w = self.world
        self.write("auth-request.lua", w.snippet("haproxy", "photos.home.example")["doorward.lua"])
        self.write("haproxy.cfg", f"""global
    lua-load {self.place}/auth-request.lua
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend fe_http
    bind {w.address}:443 ssl crt {self.certificate('both')}
    acl protected-frontends hdr(Host) -m reg -i ^(?i)(photos|notes|public|films|songs)\\.(home|other)\\.example
    acl host-authelia hdr(Host) -i auth.home.example auth.other.example
    http-request set-var(req.scheme) str(https) if {{ ssl_fc }}
    http-request set-var(req.scheme) str(http) if !{{ ssl_fc }}
    http-request set-var(req.questionmark) str(?) if {{ query -m found }}
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Method %[method]
    http-request set-header X-Forwarded-Proto %[var(req.scheme)]
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request set-header X-Forwarded-URI %[path]%[var(req.questionmark)]%[query]
    http-request set-header X-Forwarded-For %[src]
    http-request lua.auth-intercept be_authelia /api/authz/forward-auth HEAD * remote-user,remote-groups,remote-name,remote-email - if protected-frontends
    http-request deny if protected-frontends !{{ var(txn.auth_response_successful) -m bool }} {{ var(txn.auth_response_code) -m int 403 }}
    http-request redirect location %[var(txn.auth_response_location)] if protected-frontends !{{ var(txn.auth_response_successful) -m bool }}
    use_backend be_authelia if host-authelia
    use_backend be_app if protected-frontends
backend be_authelia
    server authelia 127.0.0.1:{w.doorward_port}
backend be_app
    server app 127.0.0.1:{w.app_port}
""")

    def command(self):
        return [find("haproxy"), "-db", "-f", self.place / "haproxy.cfg"]
