-- For wrk: asks for the paths of a file in turn, and prints what came of it as one line of JSON.
-- Each connection starts elsewhere, so that not all of them ask for the same object at the same time.
local requests = {}
local at = 0

function init(args)
   for path in io.lines(args[1]) do
      requests[#requests + 1] = wrk.format("GET", path)
   end
   at = math.random(#requests)
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests":%d,"bytes":%d,"microseconds":%d,"failed":%d,"refused":%d,"p50_us":%d,"p99_us":%d}\n',
      summary.requests, summary.bytes, summary.duration,
      errors.connect + errors.read + errors.write + errors.timeout, errors.status,
      latency:percentile(50), latency:percentile(99)))
end
