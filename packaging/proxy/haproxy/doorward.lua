-- doorward.lua: asks Doorward about a request. Save it as /etc/haproxy/doorward.lua and load it in the section "global":
--     lua-load /etc/haproxy/doorward.lua
-- It needs HAProxy 2.6 or later and nothing else.
--
--     http-request lua.doorward http://127.0.0.1:9091
--
-- lets a request pass, with the headers that say who is there and with the variable txn.doorward set to "passed", or
-- answers it. Should this script fail, HAProxy goes on to the next line: that line must refuse the request unless the
-- variable is set (see haproxy.cfg beside this file).
--
-- Whoever used auth-request.lua keeps the lines that they have: this offers lua.auth-request and lua.auth-intercept as
-- well, with the same arguments and variables. Load one of the two scripts, not both.

local IDENTITY = { "remote-user", "remote-groups", "remote-name", "remote-email", "remote-assertion" }
-- What Doorward is told of the client's own headers.
local TOLD = { "accept", "authorization", "cookie", "x-requested-with" }
-- What an answer to the client keeps of Doorward's.
local PASSED_ON = { "content-type", "cache-control", "location", "set-cookie", "www-authenticate" }
local PATIENCE = 5000 -- milliseconds

-- Sends the question; returns the answer, or nil if there is none.
local function ask(method, url, headers)
    local client = core.httpclient()
    local question = { url = url, headers = headers, timeout = PATIENCE }
    local answer
    if method == "HEAD" then
        answer = client:head(question)
    else
        answer = client:get(question)
    end
    if not answer or not answer.status or answer.status < 100 then
        return nil
    end
    return answer
end

-- Returns all values of a header, as a list that counts from 1. HAProxy's lists count from 0.
local function values_of(headers, name)
    local found, values = headers[name] or {}, {}
    for index = 0, #found do
        if found[index] ~= nil then
            values[#values + 1] = found[index]
        end
    end
    return values
end

local function answer_with(txn, status, answer)
    local reply = txn:reply { status = status }
    if answer then
        for _, name in ipairs(PASSED_ON) do
            for _, value in ipairs(values_of(answer.headers, name)) do
                reply:add_header(name, value)
            end
        end
        if txn.sf:method() ~= "HEAD" then
            reply:set_body(answer.body or "")
        end
    end
    txn:done(reply)
end

core.register_action("doorward", { "http-req" }, function(txn, doorward)
    txn:set_var("txn.doorward", "refused")
    local seen = txn.http:req_get_headers()
    local host = values_of(seen, "host")
    if #host ~= 1 then
        return answer_with(txn, 400)
    end
    -- These say what HAProxy saw; what the client claims under the same names is not among TOLD.
    local scheme = "http"
    if tonumber(txn.f:ssl_fc()) == 1 or txn.f:ssl_fc() == true then
        scheme = "https"
    end
    local headers = {
        ["x-forwarded-method"] = { txn.sf:method() },
        ["x-forwarded-proto"] = { scheme },
        ["x-forwarded-host"] = { host[1] },
        ["x-forwarded-uri"] = { txn.sf:pathq() },
        ["x-forwarded-for"] = { tostring(txn.sf:src()) },
    }
    for _, name in ipairs(TOLD) do
        local values = values_of(seen, name)
        if #values > 0 then
            headers[name] = values
        end
    end
    -- HAProxy would write "*/*" for who accepts nothing in particular, as if a page was wanted.
    headers["accept"] = headers["accept"] or { "" }
    local answer = ask("GET", doorward .. "/api/authz/forward-auth", headers)
    if not answer then
        return answer_with(txn, 503)
    end
    if answer.status ~= 200 then
        local status = answer.status
        if status < 300 or status > 499 then
            status = 503
        end
        return answer_with(txn, status, answer)
    end
    for _, name in ipairs(IDENTITY) do
        local value = values_of(answer.headers, name)[1]
        txn.http:req_del_header(name)
        if value and value ~= "" then
            txn.http:req_set_header(name, value)
        end
    end
    txn:set_var("txn.doorward", "passed")
end, 1)

-- ------------------------------------------------------------------ the interface of auth-request.lua

-- Tells whether a name is meant by a list such as "remote-user,remote-*"; "-" means none and "*" all.
local function matcher(list)
    if list == "-" then
        return function() return false end
    end
    local patterns = {}
    for glob in list:gmatch("[^,]+") do
        local escaped = glob:lower():gsub("[%-%.%+%[%]%(%)%$%^%%]", "%%%0")
        patterns[#patterns + 1] = "^" .. escaped:gsub("%*", ".*"):gsub("%?", ".") .. "$"
    end
    return function(name)
        for _, pattern in ipairs(patterns) do
            if name:match(pattern) then
                return true
            end
        end
        return false
    end
end

-- Returns the first address of a backend that is up.
local function address_of(backend)
    local found = core.backends[backend]
    if not found then
        return nil
    end
    for _, server in pairs(found.servers) do
        local status = server:get_stats()["status"]
        if status == "no check" or (status and status:find("UP", 1, true) == 1) then
            return server:get_addr()
        end
    end
    return nil
end

local function set_success(txn, is_successful)
    txn:set_var("txn.auth_response_successful", is_successful)
end

local function auth_request(txn, backend, path, method, told, on_success, on_failure, terminates)
    set_success(txn, false)
    local refuse = function(answer)
        if terminates then
            local status = answer and answer.status or 503
            if status < 300 or status > 499 then
                status = 503
            end
            answer_with(txn, status, answer)
        end
    end
    local address = address_of(backend)
    if not address then
        txn:Warning("doorward.lua: the backend '" .. backend .. "' has no server that is up")
        return refuse(nil)
    end
    local is_told = matcher(told)
    local headers = {}
    for name, _ in pairs(txn.http:req_get_headers()) do
        if is_told(name) and name ~= "content-length" and name ~= "transfer-encoding" and name ~= "connection" and name ~= "upgrade" then
            headers[name] = values_of(txn.http:req_get_headers(), name)
        end
    end
    if method == "*" then
        method = txn.sf:method()
    end
    local answer = ask(method, "http://" .. address .. path, headers)
    if not answer then
        return refuse(nil)
    end
    for name, _ in pairs(answer.headers) do
        local variable = "req.auth_response_header." .. name:gsub("[^A-Za-z0-9]", "_")
        txn:set_var(variable, table.concat(values_of(answer.headers, name), ","))
    end
    txn:set_var("txn.auth_response_code", answer.status)
    local is_passing = answer.status >= 200 and answer.status < 300
    if is_passing then
        local is_wanted = matcher(on_success)
        for name, _ in pairs(answer.headers) do
            if is_wanted(name) then
                -- Empty as well: the client's own header must not stay.
                txn.http:req_set_header(name, values_of(answer.headers, name)[1] or "")
            end
        end
        return set_success(txn, true)
    end
    local location = values_of(answer.headers, "location")[1]
    if location then
        txn:set_var("txn.auth_response_location", location)
    end
    if on_failure ~= "-" and not terminates then
        local is_wanted = matcher(on_failure)
        for name, _ in pairs(answer.headers) do
            if is_wanted(name) then
                txn.http:req_set_header(name, values_of(answer.headers, name)[1] or "")
            end
        end
    end
    return refuse(answer)
end

core.register_action("auth-request", { "http-req" }, function(txn, backend, path)
    auth_request(txn, backend, path, "HEAD", "*", "-", "-", false)
end, 2)

core.register_action("auth-intercept", { "http-req" }, function(txn, backend, path, method, told, on_success, on_failure)
    auth_request(txn, backend, path, method, told, on_success, on_failure, on_failure ~= "-")
end, 6)
