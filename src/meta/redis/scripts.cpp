#include "meta/redis/scripts.hpp"

#include <string>

namespace kiseki::meta::redis {
namespace {

// Numbers in Lua are doubles: beyond 2^53 they are not exact. So 64-bit values stay bytes or decimal text here, and are
// added by the server (INCRBY, HINCRBY). Strings are compared for equality only: `<` follows the server's locale.

/// decimal(b): eight big-endian bytes as decimal text, exact.
constexpr const char* kDecimal = R"lua(
local function decimal(b)
  local high, low = struct.unpack('>I4I4', b)
  if high < 2097152 then return string.format('%.0f', high * 4294967296 + low) end
  local quotient, rest = 0, 0
  for i = 1, 7, 2 do
    local limb = rest * 65536 + struct.unpack('>I2', b, i)
    local digit = math.floor(limb / 1000000000)
    quotient, rest = quotient * 65536 + digit, limb - digit * 1000000000
  end
  return string.format('%.0f%09.0f', quotient, rest)
end
)lua";

// One step after the other; no table of functions, which would be built anew at every call. `k` and `v` are the last
// key and argument used.
constexpr const char* kCommit = R"lua(
local KEYS, ARGV, call = KEYS, ARGV, redis.call
local sub, byte, insert, tonumber = string.sub, string.byte, table.insert, tonumber
local slot, sequence, lifetime, tracking = ARGV[1], ARGV[2], ARGV[3], ARGV[4] ~= ''
local again = slot ~= '' and ARGV[5] ~= ''
-- What this connection changed it must read to hear of it again. Redis 7.0 takes a read in a script for one of all the
-- keys it declares (and takes time for each): there one read after the changes does.
local version = redis.REDIS_VERSION_NUM
local once = tracking and version and version < 0x070100
local each = tracking and not once
local soft = redis.pcall -- for sums: one that is damaged stays so, and holds up nobody

-- A request whose reply was lost comes again; one that was thought lost may come after its slot served another.
if slot ~= '' then
  local last = call('HGET', KEYS[1], slot)
  if last then
    local done = sub(last, 1, 16)
    if done == sequence then
      call('HSET', KEYS[1], slot, last) -- a write: WAIT waits for what its own connection wrote
      return sub(last, 17)
    end
    if tonumber(done) > tonumber(sequence) then return redis.error_reply('KISEKILATE superseded') end
  end
end

-- What has been decided under this number, for copies that come later.
local function decided(result)
  local new = call('HSET', KEYS[1], slot, sequence .. result) == 1
  if new or lifetime ~= '' then call('EXPIRE', KEYS[1], 3600) end
  return result
end

local k, v, n = 1, 5, #ARGV
local attrs, changed, failed, returned = {}, {}, {}, {}
local late, corrupt = false, false
local zero8 = '\0\0\0\0\0\0\0\0'

-- An attribute in one shape of 80 bytes: 71, both ACL ids, tier. false: no such inode.
local function attr(key)
  local a = attrs[key]
  if a ~= nil then return a end
  a = call('GET', key)
  if a then
    local size = #a
    if size == 72 then
      a = sub(a, 1, 71) .. zero8 .. sub(a, 72)
    elseif size < 63 then
      a, corrupt = false, key
    else
      local base, at = sub(a, 1, 71), 72
      if size < 71 then base, at = sub(a, 1, 63) .. zero8, 64 end
      local acl = zero8
      if size - at >= 7 then acl, at = sub(a, at, at + 7), at + 8 end
      a = base .. acl .. (size >= at and sub(a, at, at) or '\0')
    end
  end
  attrs[key] = a
  return a
end

while v < n do
  v = v + 1
  local op = ARGV[v]
  -- checks: the index comes first
  if op == 'a' then -- fields of an attribute: count, then from, to, bytes
    k = k + 1
    local a, index, count = attr(KEYS[k]), ARGV[v + 1], tonumber(ARGV[v + 2])
    v = v + 2
    local same = a
    for _ = 1, count do
      if same and sub(a, ARGV[v + 1], ARGV[v + 2]) ~= ARGV[v + 3] then same = false end
      v = v + 3
    end
    if not same then insert(failed, index) end
  elseif op == 'h' then -- a field of a hash is this
    k = k + 1
    if call('HGET', KEYS[k], ARGV[v + 2]) ~= ARGV[v + 3] then insert(failed, ARGV[v + 1]) end
    v = v + 3
  elseif op == 'ha' then -- a field of a hash is absent
    k = k + 1
    if call('HEXISTS', KEYS[k], ARGV[v + 2]) == 1 then insert(failed, ARGV[v + 1]) end
    v = v + 2
  elseif op == '!' then -- the end of the checks
    if corrupt then return redis.error_reply('KISEKICORRUPT ' .. corrupt) end
    if late or #failed > 0 then
      local refusal = '-' .. table.concat(failed, ',')
      return again and decided(refusal) or refusal -- once sent again, the copy before may still be on its way
    end

  -- writes
  elseif op == 'A' then -- a whole attribute, in 80 bytes
    k = k + 1
    attrs[KEYS[k]] = ARGV[v + 1]
    insert(changed, KEYS[k])
    v = v + 1
  elseif op == 'P' then -- fields of an attribute: count, then from, to, bytes
    k = k + 1
    local key, count = KEYS[k], tonumber(ARGV[v + 1])
    local a = attrs[key]
    v = v + 1
    for _ = 1, count do
      a = sub(a, 1, ARGV[v + 1] - 1) .. ARGV[v + 3] .. sub(a, ARGV[v + 2] + 1)
      v = v + 3
    end
    attrs[key] = a
    insert(changed, key)
  elseif op == 'H' then
    k = k + 1
    call('HSET', KEYS[k], ARGV[v + 1], ARGV[v + 2])
    v = v + 2
  elseif op == 'I' then -- a counter; 'next' ids are stored one lower than they are returned
    k = k + 1
    local now = call('INCRBY', KEYS[k], ARGV[v + 1])
    if now < 9007199254740991 and now > -9007199254740991 then
      insert(returned, string.format('%.0f', now + ARGV[v + 2]))
    else
      insert(returned, call('GET', KEYS[k]))
    end
    v = v + 2
  elseif op == 'HI' then
    k = k + 1
    call('HINCRBY', KEYS[k], ARGV[v + 1], ARGV[v + 2])
    v = v + 2
  elseif op == 'V' then -- sums of a directory: length, space, inodes; entries and attribute to count a missing record
    local ino, length, space, inodes = ARGV[v + 1], ARGV[v + 2], ARGV[v + 3], ARGV[v + 4]
    local lengths, spaces, numbers, entries, own = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4], KEYS[k + 5]
    if soft('HEXISTS', spaces, ino) == 1 then
      if length ~= '0' then soft('HINCRBY', lengths, ino, length) end
      if space ~= '0' then soft('HINCRBY', spaces, ino, space) end
      if inodes ~= '0' then soft('HINCRBY', numbers, ino, inodes) end
    elseif call('EXISTS', own) == 1 and call('HLEN', entries) <= 10000 then
      local high, low, pages, count = 0, 0, 0, 0
      for _, entry in ipairs(call('HVALS', entries)) do
        local a = #entry == 9 and soft('GET', ARGV[v + 5] .. decimal(sub(entry, 2)))
        if type(a) == 'string' and #a >= 63 then
          count = count + 1
          if math.floor(byte(a, 2) / 16) == 1 then
            local h, l = struct.unpack('>I4I4', sub(a, 52, 59))
            high, low = high + h, low + l
            pages = pages + math.max(1, h * 1048576 + math.ceil(l / 4096))
          else
            pages = pages + 1
          end
        end
      end
      soft('HSET', lengths, ino, string.format('%.0f', low))
      soft('HINCRBY', lengths, ino, string.format('%.0f', high * 4294967296))
      soft('HSET', spaces, ino, string.format('%.0f', pages * 4096))
      soft('HSET', numbers, ino, string.format('%.0f', count))
    end
    k, v = k + 5, v + 5
  elseif op == '=' then -- attributes go out: each once, whatever changed in it
    for _, key in ipairs(changed) do
      local a = attrs[key]
      if a then
        if sub(a, 72) == '\0\0\0\0\0\0\0\0\0' then
          call('SET', key, sub(a, 1, 72))
        else
          local acl, tier = sub(a, 72, 79), sub(a, 80)
          call('SET', key, sub(a, 1, 71) .. (acl ~= zero8 and acl or '') .. (tier ~= '\0' and tier or '') .. '\0')
        end
        if each then call('STRLEN', key) end
      elseif a == false then
        call('DEL', key)
      end
      attrs[key] = nil
    end
  elseif op == 'L' then -- records of a chunk: count, then each
    k = k + 1
    local key, count = KEYS[k], tonumber(ARGV[v + 1])
    v = v + 1
    for _ = 1, count do
      v = v + 1
      call('RPUSH', key, ARGV[v])
    end
    insert(returned, call('LLEN', key))
  elseif op == 'T' then -- the same for other keys: command
    k = k + 1
    if each then call(ARGV[v + 1], KEYS[k]) end
    v = v + 1
  elseif op == 'S' then
    k = k + 1
    call('SET', KEYS[k], ARGV[v + 1])
    v = v + 1
  elseif op == 'D' then
    k = k + 1
    call('DEL', KEYS[k])
  elseif op == 'HD' then
    k = k + 1
    call('HDEL', KEYS[k], ARGV[v + 1])
    v = v + 1
  elseif op == 'E' then -- an inode goes
    k = k + 1
    attrs[KEYS[k]] = false
    insert(changed, KEYS[k])
  elseif op == 'PX' then -- an attribute: type or -1, mode or -1, links to add, length it has at least ("" none)
    k = k + 1
    local key = KEYS[k]
    local a = attrs[key]
    local kind, mode, links, length = tonumber(ARGV[v + 1]), tonumber(ARGV[v + 2]), tonumber(ARGV[v + 3]), ARGV[v + 4]
    local word = struct.unpack('>I2', a, 2)
    if mode >= 0 then word = word - word % 4096 + mode end
    if kind >= 0 then word = word % 4096 + kind * 4096 end
    a = sub(a, 1, 1) .. struct.pack('>I2', word) .. sub(a, 4)
    if links ~= 0 then
      local now = (struct.unpack('>I4', a, 48) + links) % 4294967296
      a = sub(a, 1, 47) .. struct.pack('>I4', now) .. sub(a, 52)
    end
    if length ~= '' then
      local h, l = struct.unpack('>I4I4', a, 52)
      local high, low = struct.unpack('>I4I4', length)
      if high > h or (high == h and low > l) then a = sub(a, 1, 51) .. length .. sub(a, 60) end
    end
    attrs[key] = a
    insert(changed, key)
    v = v + 4
  elseif op == 'R' then -- a value to be returned
    insert(returned, ARGV[v + 1])
    v = v + 1
  elseif op == 'K' then -- references of a slice: one fewer than there are
    k = k + 1
    insert(returned, string.format('%.0f', call('HINCRBY', KEYS[k], ARGV[v + 1], ARGV[v + 2]) + 1))
    v = v + 2
  elseif op == 'N' then -- links in a parent
    k = k + 1
    if call('HINCRBY', KEYS[k], ARGV[v + 1], ARGV[v + 2]) <= 0 then call('HDEL', KEYS[k], ARGV[v + 1]) end
    v = v + 2
  elseif op == 'C' then -- records of a chunk are replaced: first, how many, with how many, each
    k = k + 1
    local key, first, count, with = KEYS[k], tonumber(ARGV[v + 1]), tonumber(ARGV[v + 2]), tonumber(ARGV[v + 3])
    v = v + 3
    local head = first > 0 and call('LRANGE', key, 0, first - 1) or {}
    if first + count > 0 then call('LTRIM', key, first + count, -1) end
    for i = with, 1, -1 do call('LPUSH', key, ARGV[v + i]) end
    for i = first, 1, -1 do call('LPUSH', key, head[i]) end
    v = v + with
  elseif op == 'Q' then -- use of a quota, by an owner ('o': made when missing) or a directory
    local id, limits = ARGV[v + 1], KEYS[k + 1]
    if ARGV[v + 4] == 'o' then soft('HSETNX', limits, id, string.rep('\255', 16)) end
    if soft('HEXISTS', limits, id) == 1 then
      soft('HINCRBY', KEYS[k + 2], id, ARGV[v + 2])
      soft('HINCRBY', KEYS[k + 3], id, ARGV[v + 3])
    end
    k, v = k + 3, v + 4
  elseif op == 'Z' then
    k = k + 1
    call('ZADD', KEYS[k], ARGV[v + 1], ARGV[v + 2])
    v = v + 2
  elseif op == 'ZD' then
    k = k + 1
    call('ZREM', KEYS[k], ARGV[v + 1])
    v = v + 1
  elseif op == 'M' then
    k = k + 1
    call('SADD', KEYS[k], ARGV[v + 1])
    v = v + 1
  elseif op == 'MD' then
    k = k + 1
    call('SREM', KEYS[k], ARGV[v + 1])
    v = v + 1
  elseif op == 'U' then -- an owner's lock goes; its session's list forgets the file with its last lock there
    local key, prefix = KEYS[k + 1], ARGV[v + 2]
    call('HDEL', key, ARGV[v + 1])
    local holds = false
    for _, field in ipairs(call('HKEYS', key)) do
      if sub(field, 1, #prefix) == prefix then holds = true end
    end
    if not holds then call('SREM', KEYS[k + 2], key) end
    k, v = k + 2, v + 2
  elseif op == 'UA' then -- all locks of a session
    k = k + 1
    local prefix = ARGV[v + 1]
    for _, key in ipairs(call('SMEMBERS', KEYS[k])) do
      for _, field in ipairs(call('HKEYS', key)) do
        if sub(field, 1, #prefix) == prefix then call('HDEL', key, field) end
      end
    end
    call('DEL', KEYS[k])
    v = v + 1
  elseif op == 'G' then -- an ACL rule gets the next id
    local id = string.format('%.0f', call('INCRBY', KEYS[k + 1], 1))
    call('HSET', KEYS[k + 2], id, ARGV[v + 1])
    insert(returned, id)
    k, v = k + 2, v + 1

  -- checks that are rarer
  elseif op == 't' then -- type of an inode
    k = k + 1
    local a = attr(KEYS[k])
    if not a or math.floor(byte(a, 2) / 16) ~= tonumber(ARGV[v + 2]) then insert(failed, ARGV[v + 1]) end
    v = v + 2
  elseif op == 'o' then -- mode of an inode
    k = k + 1
    local a = attr(KEYS[k])
    if not a or struct.unpack('>I2', a, 2) % 4096 ~= tonumber(ARGV[v + 2]) then insert(failed, ARGV[v + 1]) end
    v = v + 2
  elseif op == 'n' then -- no such inode
    k = k + 1
    if attr(KEYS[k]) then insert(failed, ARGV[v + 1]) end
    v = v + 1
  elseif op == 'e' then -- an empty directory
    k = k + 1
    if call('HLEN', KEYS[k]) ~= 0 then insert(failed, ARGV[v + 1]) end
    v = v + 1
  elseif op == 's' then
    k = k + 1
    if call('GET', KEYS[k]) ~= ARGV[v + 2] then insert(failed, ARGV[v + 1]) end
    v = v + 2
  elseif op == 'sa' then
    k = k + 1
    if call('EXISTS', KEYS[k]) == 1 then insert(failed, ARGV[v + 1]) end
    v = v + 1
  elseif op == 'hd' then -- a field, or what its absence means, is this
    k = k + 1
    if (call('HGET', KEYS[k], ARGV[v + 2]) or ARGV[v + 3]) ~= ARGV[v + 4] then insert(failed, ARGV[v + 1]) end
    v = v + 4
  elseif op == 'z' then -- a score; "" for none
    k = k + 1
    if (call('ZSCORE', KEYS[k], ARGV[v + 2]) or '') ~= ARGV[v + 3] then insert(failed, ARGV[v + 1]) end
    v = v + 3
  elseif op == 'l' then -- a chunk begins with these records: how many, all in one
    k = k + 1
    local count = tonumber(ARGV[v + 2])
    local list = count > 0 and table.concat(call('LRANGE', KEYS[k], 0, count - 1)) or ''
    if list ~= ARGV[v + 3] then insert(failed, ARGV[v + 1]) end
    v = v + 3
  elseif op == 'm' then -- a hash is this: count, then field and value. 'links': fields that count none do not count
    k = k + 1
    local index, kind, count = ARGV[v + 1], ARGV[v + 2], tonumber(ARGV[v + 3])
    v = v + 3
    local now, size, same = call('HGETALL', KEYS[k]), 0, true
    local fields = {}
    for i = 1, #now, 2 do
      if kind ~= 'links' or tonumber(now[i + 1]) > 0 then fields[now[i]], size = now[i + 1], size + 1 end
    end
    for _ = 1, count do
      if fields[ARGV[v + 1]] ~= ARGV[v + 2] then same = false end
      v = v + 2
    end
    if not same or size ~= count then insert(failed, index) end
  elseif op == 'w' then -- a counter is at most this; by sign, length, digits
    k = k + 1
    local now, most = call('GET', KEYS[k]) or '0', ARGV[v + 2]
    if #now > 15 or #most > 15 then
      local function order(text)
        local negative = sub(text, 1, 1) == '-'
        local digits = negative and sub(text, 2) or text
        digits = string.rep('0', 20 - #digits) .. digits
        local sign = negative and -1 or 1
        return sign * tonumber(sub(digits, 1, 10)), sign * tonumber(sub(digits, 11))
      end
      local high, low = order(now)
      local h, l = order(most)
      if high > h or (high == h and low > l) then insert(failed, ARGV[v + 1]) end
    elseif tonumber(now) > tonumber(most) then
      insert(failed, ARGV[v + 1])
    end
    v = v + 2
  elseif op == 'f' then -- what never holds
    insert(failed, ARGV[v + 1])
    v = v + 1
  elseif op == 'p' then -- an inode to be patched exists, else the commit is refused with no check to blame
    k = k + 1
    if not attr(KEYS[k]) then late = true end
  elseif op == 'F' then -- writes that contradict each other, likewise
    late = true
  elseif op == 'c' then -- a chunk has so many records, likewise
    k = k + 1
    if call('LLEN', KEYS[k]) < tonumber(ARGV[v + 1]) then late = true end
    v = v + 1
  else
    return redis.error_reply('KISEKISTEP ' .. op)
  end
end

if once and slot ~= '' then call('EXISTS', KEYS[1]) end
local result = '+' .. table.concat(returned, ',')
return slot ~= '' and decided(result) or result
)lua";

constexpr const char* kFetch = R"lua(
local KEYS, ARGV, call = KEYS, ARGV, redis.call
local out, k, v, n = {}, 0, 0, #ARGV
while v < n do
  v, k = v + 1, k + 1
  local op, key, one = ARGV[v], KEYS[k], nil
  if op == 'g' then
    one = call('GET', key)
  elseif op == 'h' then
    v = v + 1
    one = call('HGET', key, ARGV[v])
  elseif op == 'c' then -- the attribute of what a name stands for
    local entry = call('HGET', key, ARGV[v + 1])
    one = entry and #entry == 9 and call('GET', ARGV[v + 2] .. decimal(string.sub(entry, 2)))
    v = v + 2
  elseif op == 'l' then
    one = call('LRANGE', key, 0, -1)
  elseif op == 'a' then
    one = call('HGETALL', key)
  elseif op == 'z' then
    v = v + 1
    one = call('ZSCORE', key, ARGV[v])
  end
  out[k] = one
end
return out
)lua";

constexpr const char* kList = R"lua(
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local out, found, base = {page[1]}, page[2], ARGV[3]
local wanted, place = {}, {}
local function read()
  for i, a in ipairs(redis.call('MGET', unpack(wanted))) do out[place[i]] = a end
  wanted, place = {}, {}
end
for i = 1, #found, 2 do
  local at = #out
  out[at + 1], out[at + 2], out[at + 3] = found[i], found[i + 1], false
  if base ~= '' and #found[i + 1] == 9 then
    wanted[#wanted + 1], place[#place + 1] = base .. decimal(string.sub(found[i + 1], 2)), at + 3
    if #wanted == 1000 then read() end
  end
end
if #wanted > 0 then read() end
return out
)lua";

constexpr const char* kChunks = R"lua(
local out = {}
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  local index = string.format('%.0f', i)
  local records = redis.call('LRANGE', KEYS[1] .. index, 0, -1)
  if #records > 0 then out[#out + 1], out[#out + 2] = index, table.concat(records) end
end
return out
)lua";

constexpr const char* kFindChunks = R"lua(
local out = {}
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  local index = string.format('%.0f', i)
  if redis.call('EXISTS', KEYS[1] .. index) == 1 then out[#out + 1] = index end
end
return out
)lua";

}  // namespace

const net::redis::Script& commit_script() {
  static const net::redis::Script script(std::string(kDecimal) + kCommit);
  return script;
}
const net::redis::Script& fetch_script() {
  static const net::redis::Script script(std::string(kDecimal) + kFetch);
  return script;
}
const net::redis::Script& list_script() {
  static const net::redis::Script script(std::string(kDecimal) + kList);
  return script;
}
const net::redis::Script& chunks_script() {
  static const net::redis::Script script{std::string(kChunks)};
  return script;
}
const net::redis::Script& find_chunks_script() {
  static const net::redis::Script script{std::string(kFindChunks)};
  return script;
}

}  // namespace kiseki::meta::redis
