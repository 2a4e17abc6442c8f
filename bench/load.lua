-- For wrk: asks for the paths of a file, and prints what came of it as one line of JSON. In turn, each connection beginning
-- elsewhere, so that not all of them ask for the same object at the same time; or each path once ("once" behind the file). A
-- number behind the file: so many milliseconds pass between an answer and the next request of its connection.
local requests = {}
local at = 0

-- Each path once: ends when all were answered.
local function once()
   local ffi = require("ffi")
   ffi.cdef("int getpid(void); int kill(int pid, int signal);")
   -- The first one is made to be looked at only.
   local asked, answered = -1, 0

   function request()
      -- A few may slip through before the delay: they ask for what was answered already.
      asked = asked + 1
      return requests[asked > 0 and asked <= #requests and asked or 1]
   end

   -- In milliseconds: connections that find nothing left wait for the last one to end.
   function delay()
      return asked < #requests and 0 or 2000
   end

   function response()
      answered = answered + 1
      if answered == #requests then
         -- Its threads can be stopped from here, but its main thread would still sleep for all the time it was given.
         ffi.C.kill(ffi.C.getpid(), 2)
      end
   end
end

function init(args)
   for path in io.lines(args[1]) do
      requests[#requests + 1] = wrk.format("GET", path)
   end
   at = math.random(#requests)
   -- wrk looks for these functions after this one: without them it calls nothing for an answer.
   if args[2] == "once" then
      once()
   elseif args[2] then
      local pause = tonumber(args[2])
      function delay()
         return pause
      end
   end
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
