-- The action `http-request lua.sessile-gate BACKEND TOKEN`: asks Sessile, a server of BACKEND, about the request. An
-- answer of 200 gives the request its identity headers. Any other answer goes to the client as it is. Without an answer
-- the client gets 503. For example /etc/haproxy/sessile.lua.
--
-- It uses a plain connection and not HAProxy's HTTP client, which would write the address with the token into the log.

local SECONDS = 10
local RETRY_AFTER = "5"

local IDENTITY = {
    "x-sessile-user",
    "x-sessile-email",
    "x-sessile-name",
    "x-sessile-role",
    "x-sessile-groups",
    "x-sessile-session",
    "x-sessile-assertion",
    "remote-user",
    "remote-email",
    "remote-name",
    "remote-groups",
}

-- Headers of this connection, or of a body that is not sent.
local OF_CONNECTION = {
    ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["keep-alive"] = true,
    ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
    -- The answer is small, and its body is passed on as it is.
    ["accept-encoding"] = true,
}

local function question(txn, token)
    local lines = { "GET /.sessile/gate/" .. token .. " HTTP/1.1" }
    for name, values in pairs(txn.http:req_get_headers()) do
        for at = 0, #values do
            if values[at] and not OF_CONNECTION[name] then
                lines[#lines + 1] = name .. ": " .. values[at]
            end
        end
    end
    lines[#lines + 1] = "connection: close\r\n\r\n"
    return table.concat(lines, "\r\n")
end

-- A server that its health check, if it has one, does not report as down.
local function connect(backend)
    for _, server in pairs(core.backends[backend].servers) do
        local address, port = server:get_addr():match("^(.*):(%d+)$")
        if address and not server:get_stats()["status"]:find("^DOWN") then
            local socket = core.tcp()
            socket:settimeout(SECONDS)
            if socket:connect(address:gsub("[%[%]]", ""), tonumber(port)) then
                return socket
            end
        end
    end
end

local function read_chunks(socket)
    local parts = {}
    while true do
        local size = tonumber((socket:receive("*l") or ""):match("^%x+") or "", 16)
        if not size then return nil end
        if size == 0 then return table.concat(parts) end
        local part = socket:receive(size)
        if not part then return nil end
        parts[#parts + 1] = part
        socket:receive("*l")
    end
end

-- The status, the headers as a list of pairs, and the body; nothing if the answer is incomplete.
local function read_answer(socket)
    local status = tonumber((socket:receive("*l") or ""):match("^HTTP/1%.%d (%d%d%d)"))
    local headers, known = {}, {}
    while status do
        local line = socket:receive("*l")
        if not line then return nil end
        line = line:gsub("\r$", "")
        if line == "" then break end
        local name, value = line:match("^([^:]+):%s*(.-)%s*$")
        if not name then return nil end
        name = name:lower()
        headers[#headers + 1] = { name, value }
        known[name] = value
    end
    local body = ""
    if (known["transfer-encoding"] or ""):lower() == "chunked" then
        body = read_chunks(socket)
    elseif tonumber(known["content-length"] or "0") > 0 then
        body = socket:receive(tonumber(known["content-length"]))
    end
    if status and body then return status, headers, body end
end

local function ask(backend, text)
    local socket = connect(backend)
    if not socket then return nil end
    local status, headers, body
    if socket:send(text) then
        status, headers, body = read_answer(socket)
    end
    socket:close()
    return status, headers, body
end

local function answer(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, pair in ipairs(headers) do
        if not OF_CONNECTION[pair[1]] then reply:add_header(pair[1], pair[2]) end
    end
    if txn.sf:method() ~= "HEAD" then reply:set_body(body) end
    txn:done(reply)
end

core.register_action("sessile-gate", { "http-req" }, function(txn, backend, token)
    local status, headers, body = ask(backend, question(txn, token))
    if status == 200 then
        for _, pair in ipairs(headers) do
            for _, name in ipairs(IDENTITY) do
                if pair[1] == name and pair[2] ~= "" then txn.http:req_set_header(name, pair[2]) end
            end
        end
    elseif status and status >= 300 then
        answer(txn, status, headers, body)
    else
        answer(txn, 503, { { "retry-after", RETRY_AFTER }, { "content-type", "text/plain" } },
            "Signing in is not possible at the moment. Please try again.\n")
    end
end, 2)
