-- POSTs one body for a given time or number of requests, then lets every open request finish, so that the number of
-- completed requests is exactly the number that was sent. Arguments: seconds, requests (0: no bound), connections,
-- body file. Prints one line of JSON.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long sec; long nsec; } gh_timespec;
  int clock_gettime(int clock, gh_timespec *out);
  int getpid(void);
  int kill(int pid, int number);
]]
local MONOTONIC, SIGINT, FOREVER_MS = 1, 2, 3600 * 1000
local clock = ffi.new("gh_timespec")
local threads = {}

local function now()
  ffi.C.clock_gettime(MONOTONIC, clock)
  return tonumber(clock.sec) + tonumber(clock.nsec) / 1e9
end

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  seconds, bound, connections = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  wrk.method = "POST"
  local file = assert(io.open(args[4], "rb"))
  wrk.body = file:read("*a")
  file:close()
  sent, parked = 0, 0
end

-- wrk calls this before each request of a connection, so after each answer too, for the milliseconds to wait.
function delay()
  local time = now()
  started = started or time
  if time - started < seconds and (bound == 0 or sent < bound) then
    sent = sent + 1
    return 0
  end
  finished = time
  parked = parked + 1
  if parked == connections then
    ffi.C.kill(ffi.C.getpid(), SIGINT) -- every answer is in: no need to wait for wrk's own end
  end
  return FOREVER_MS
end

function done(summary, latency, requests)
  local thread = threads[1]
  io.write(string.format(
    '{"completed":%d,"sent":%d,"parked":%d,"seconds":%.6f,"bytes":%d,' ..
    '"p50_us":%.1f,"p90_us":%.1f,"p99_us":%.1f,"max_us":%.1f,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, thread:get("sent"), thread:get("parked"), thread:get("finished") - thread:get("started"),
    summary.bytes, latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.status, summary.errors.timeout
  ))
end
