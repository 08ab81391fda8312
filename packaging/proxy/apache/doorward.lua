-- doorward.lua: lets Apache ask Doorward about a request. Save it as /etc/apache2/doorward.lua. It needs mod_lua, which
-- comes with Apache, and the Lua library for sockets (on Debian the package lua-socket).
-- Whatever goes wrong on the way (Doorward down, slow, this script broken), Apache refuses the request.

local socket = require "socket"

local DOORWARD_HOST, DOORWARD_PORT = "{{doorward_name}}", {{doorward_port}}
local PATIENCE = 5 -- seconds
local LONGEST_LINE, MOST_LINES = 16384, 64
local IDENTITY = { "Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email", "Remote-Assertion" }
-- What Doorward is told of the client's own headers.
local TOLD = { "Accept", "Authorization", "Cookie", "X-Requested-With" }

local function is_plain(text)
    return text and not text:find("[%c]")
end

-- Asks, and returns the status and the headers of the answer; nil if there is none.
local function ask(headers)
    local line = socket.tcp()
    line:settimeout(PATIENCE)
    if not line:connect(DOORWARD_HOST, DOORWARD_PORT) then
        return nil
    end
    local question = { "GET /api/authz/forward-auth HTTP/1.1", "Host: {{portal_host}}", "Connection: close" }
    for name, value in pairs(headers) do
        if not is_plain(value) then
            line:close()
            return nil
        end
        question[#question + 1] = name .. ": " .. value
    end
    if not line:send(table.concat(question, "\r\n") .. "\r\n\r\n") then
        line:close()
        return nil
    end
    local first = line:receive("*l")
    local status = first and tonumber(first:match("^HTTP/1%.[01] (%d%d%d)"))
    local answer, is_whole = {}, false
    for _ = 1, MOST_LINES do
        local text = status and line:receive("*l")
        if not text or #text > LONGEST_LINE then
            break
        end
        if text == "" then
            is_whole = true
            break
        end
        local name, value = text:match("^([^:%s]+):%s*(.-)%s*$")
        if name then
            answer[name:lower()] = value
        end
    end
    line:close()
    if not is_whole then
        return nil
    end
    return status, answer
end

function check(r)
    -- The port as the browser sees it, so that people come back to the right address after they signed in. The name is
    -- ServerName and not what the client claims.
    local port = (r.headers_in["Host"] or ""):match(":%d+$") or ""
    local path = r.unparsed_uri:gsub("^%a[%w+.-]*://[^/?#]*", "")
    if path:sub(1, 1) ~= "/" then
        return 400
    end
    local headers = {
        ["X-Forwarded-Method"] = r.method,
        ["X-Forwarded-Proto"] = r.is_https and "https" or "http",
        ["X-Forwarded-Host"] = r.server_name .. port,
        ["X-Forwarded-Uri"] = path,
        ["X-Forwarded-For"] = r.useragent_ip,
    }
    for _, name in ipairs(TOLD) do
        headers[name] = r.headers_in[name]
    end
    local status, answer = ask(headers)
    if not status then
        return 503
    end
    if status == 200 then
        for _, name in ipairs(IDENTITY) do
            r.headers_in[name] = answer[name:lower()] or ""
        end
        return apache2.DECLINED
    end
    if status < 300 or status > 499 then
        return 503
    end
    -- With these the browser gets to the sign-in page and back, and a program learns how to prove itself.
    for _, name in ipairs({ "Location", "Set-Cookie", "WWW-Authenticate" }) do
        if answer[name:lower()] then
            r.err_headers_out[name] = answer[name:lower()]
            if name == "Location" then
                r.headers_out[name] = answer[name:lower()]
            end
        end
    end
    r.err_headers_out["Cache-Control"] = "no-store"
    return status
end
