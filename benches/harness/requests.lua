-- A wrk script. Sends the same request again and again, with the next cookie each time.
--
--   COOKIES          file with a Cookie header in each line
--   ACCEPT_ENCODING  the header of that name
--   HEADERS          file with a header for every request in each line
--   BODIES           file with a JSON body in each line, for POST requests
--   LIMIT            say `done` on stderr after so many answers, and start with the first line of the file
--   DELAY            milliseconds between the requests of a connection
local requests, next, answers = {}, 0, 0
local limit, pause = tonumber(os.getenv('LIMIT') or ''), tonumber(os.getenv('DELAY') or '')

local function lines(name)
  local file, found = os.getenv(name), {}
  if file then for line in io.lines(file) do found[#found + 1] = line end end
  return found
end

function init()
  local cookies, bodies, others = lines('COOKIES'), lines('BODIES'), lines('HEADERS')
  for i = 1, math.max(#cookies, #bodies, 1) do
    local headers = { ['Accept-Encoding'] = os.getenv('ACCEPT_ENCODING'), Cookie = cookies[i] }
    for _, line in ipairs(others) do
      local name, value = line:match('^(.-): (.*)$')
      headers[name] = value
    end
    if bodies[i] then headers['Content-Type'] = 'application/json' end
    requests[i] = wrk.format(bodies[i] and 'POST' or 'GET', nil, headers, bodies[i])
  end
  next = limit and 0 or math.random(#requests)
end

function request()
  next = next % #requests + 1
  return requests[next]
end

if limit then
  function response()
    answers = answers + 1
    if answers == limit then
      wrk.thread:stop()
      io.stderr:write('done\n')
    end
  end
end

if pause then
  function delay() return pause end
end
