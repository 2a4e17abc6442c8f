-- For wrk: requests of all kinds, drawn for each; prints what came of them as one line of JSON. Arguments: a file of paths
-- of objects, of which few are asked for often, and a seed.
local paths, hot = {}, 200
local host = "Host: bench\r\n"
local kinds = {"hit", "object", "document", "range", "ranges", "conditional", "missing", "refused", "malformed", "close"}
-- Per mille, in the order of the kinds.
local shares = {700, 40, 80, 50, 10, 30, 20, 40, 10, 20}
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   for path in io.lines(args[1]) do
      paths[#paths + 1] = path
   end
   math.randomseed(tonumber(args[2]))
   for _, kind in ipairs(kinds) do
      _G["made_" .. kind] = 0
   end
end

local function draw()
   local at = math.random(1000)
   for i, share in ipairs(shares) do
      at = at - share
      if at <= 0 then return kinds[i] end
   end
end

local function get(path, fields)
   return "GET " .. path .. " HTTP/1.1\r\n" .. host .. (fields or "") .. "\r\n"
end

local make = {
   hit = function() return get(paths[math.random(hot)]) end,
   object = function() return get(paths[math.random(#paths)]) end,
   document = function() return get("/cvmfs/bench.test/.cvmfspublished") end,
   range = function() return get(paths[math.random(hot)], "Range: bytes=" .. math.random(1000) .. "-2000\r\n") end,
   ranges = function() return get(paths[math.random(hot)], "Range: bytes=0-9,100-109,1000-1009,-5\r\n") end,
   -- wrk knows no answers to HEAD.
   conditional = function() return get(paths[math.random(hot)], "If-None-Match: *\r\n") end,
   missing = function()
      local name = string.format("%08x%08x%08x%08x%06x", math.random(2^31), math.random(2^31), math.random(2^31),
         math.random(2^31), math.random(2^23))
      return get("/cvmfs/bench.test/data/" .. name:sub(1, 2) .. "/" .. name)
   end,
   refused = function() return get("/index.html") end,
   malformed = function() return get("/", "X : y\r\n") end,
   close = function() return get(paths[math.random(hot)], "Connection: close\r\n") end,
}

function request()
   local kind = draw()
   _G["made_" .. kind] = _G["made_" .. kind] + 1
   return make[kind]()
end

function done(summary, latency)
   local errors, made = summary.errors, {}
   for _, kind in ipairs(kinds) do
      local sum = 0
      for _, thread in ipairs(threads) do sum = sum + thread:get("made_" .. kind) end
      made[#made + 1] = string.format('"%s":%d', kind, sum)
   end
   io.write(string.format('{"requests":%d,"microseconds":%d,"refused":%d,"timeouts":%d,"made":{%s}}\n',
      summary.requests, summary.duration, errors.status, errors.timeout, table.concat(made, ",")))
end
