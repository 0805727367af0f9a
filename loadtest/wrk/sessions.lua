-- SRec's inputs for wrk: sessions of 1 to 5 appids, length and appids drawn uniformly, a new one a request.
--
--   wrk -t1 -c32 -d30s -s loadtest/wrk/sessions.lua http://127.0.0.1:8080 -- APPIDS [K] [SEED]
--
-- APPIDS is an artifact's catalogue.json, or any file of appids between blanks or lines. Requests are built
-- before the clock starts, so that Lua costs next to nothing while it runs. SREC_API_KEY is sent as X-API-Key.
-- Every answer must be a 200 with a list of items; those that are not are counted. The last line of the output
-- is JSON. The loop is closed: each of the -c connections sends its next request once it has its answer, so
-- this finds the ceiling; latency at a given rate is a matter for `srec loadtest --rate`.

local PREPARED = 20000 -- requests a thread; longer runs start again at the first
local PATH = "/predictions/srec"
local threads = {}

function setup(thread)
  thread:set("number", #threads + 1)
  table.insert(threads, thread)
end

local function read_appids(name)
  local file = assert(io.open(name), "no file of appids: give one after --, see the top of this script")
  local text = file:read("*a")
  file:close()
  local appids = {}
  for word in (text:match('"appid"%s*:%s*%[(.-)%]') or text):gmatch("%d+") do
    appids[#appids + 1] = word
  end
  assert(#appids > 0, name .. " holds no appid")
  return appids
end

function init(args)
  local appids = read_appids(args[1] or "")
  local k, seed = args[2] or "20", tonumber(args[3] or "0")
  math.randomseed(seed * 1000 + number)
  local headers = { ["Content-Type"] = "application/json", ["X-API-Key"] = os.getenv("SREC_API_KEY") }
  prepared, turn, wrong = {}, 0, 0
  for i = 1, PREPARED do
    local clicks = {}
    for j = 1, math.random(5) do
      clicks[j] = appids[math.random(#appids)]
    end
    local body = '{"appids": [' .. table.concat(clicks, ", ") .. '], "k": ' .. k .. "}"
    prepared[i] = wrk.format("POST", PATH, headers, body)
  end
end

function request()
  turn = turn % PREPARED + 1
  return prepared[turn]
end

function response(status, headers, body)
  if status ~= 200 or not body:find('"items"', 1, true) then
    wrong = wrong + 1
  end
end

function done(summary, latency, requests)
  local wrong = 0
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("wrong")
  end
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  local line = '{"requests": %d, "seconds": %.3f, "rate": %.1f, "wrong": %d, "lost": %d, '
    .. '"p50_ms": %.3f, "p90_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n'
  local seconds = summary.duration / 1e6
  io.write(line:format(
    summary.requests, seconds, (summary.requests - wrong) / seconds, wrong, lost,
    latency:percentile(50) / 1000, latency:percentile(90) / 1000, latency:percentile(99) / 1000,
    latency.max / 1000
  ))
end
