#include "meta/redis/scripts.hpp"

#include <string>

namespace kiseki::meta::redis {
namespace {

// Numbers in Lua are doubles: beyond 2^53 they are not exact. So 64-bit values stay bytes or decimal text here, and are
// added by the server (INCRBY, HINCRBY). Strings are compared for equality only: `<` follows the server's locale.

/// decimal(b, at): eight big-endian bytes of `b` from `at` on as decimal text, exact. The first way is the cheapest by
/// far, and takes no long for wider than a server of 32 bits has it.
constexpr const char* kDecimal = R"lua(
local function decimal(b, at)
  local high, low = struct.unpack('>I4I4', b, at)
  if high == 0 and low < 2147483648 then return string.format('%d', low) end
  if high < 2097152 then return string.format('%.0f', high * 4294967296 + low) end
  local quotient, rest = 0, 0
  for i = 1, 7, 2 do
    local limb = rest * 65536 + struct.unpack('>I2', b, at + i - 1)
    local digit = math.floor(limb / 1000000000)
    quotient, rest = quotient * 65536 + digit, limb - digit * 1000000000
  end
  return string.format('%.0f%09.0f', quotient, rest)
end
)lua";

// Lua costs the server more than what it calls: a function or a table made anew at every call, or a string cut out of
// another, as much as a simple command. So: one step after the other in one function, with the checks and writes of
// everyday commits first, and strings that are read and written together with one MGET and one MSET. `v` is the last
// argument used.
//
// An attribute is here as it is stored, in one of three shapes: 72 bytes, or 80 or 81 where there is a tail (ACL ids
// from byte 72 on, tier at 80). So each field has one place, and in 72 bytes the tail is zeros.
constexpr const char* kCommit = R"lua(
local KEYS, ARGV, call = KEYS, ARGV, redis.call
local sub, byte = string.sub, string.byte
local slot, sequence, receipts, prefix = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local prolong, tracking, again = byte(ARGV[3], 1, 3)

-- A request whose reply was lost comes again; one that was thought lost may come after its slot served another.
if slot ~= '' then
  local last = call('HGET', receipts, slot)
  if last then
    local done = sub(last, 1, 16)
    if done == sequence then return sub(last, 17) end
    if tonumber(done) > tonumber(sequence) then return redis.error_reply('KISEKILATE superseded') end
  end
end

local n, zero9 = #ARGV, '\0\0\0\0\0\0\0\0\0'
local known = {} -- what was read, by its key; false: it is not there
local failed, returned, corrupt -- indexes, values, a key
local late = false
local sets, set = {}, 0 -- to be written together: keys and values, how many
local dead -- keys to be erased together

local v, attributes = 7, 7 + ARGV[6]
local last = attributes + ARGV[7]
while v < last do
  local stop = v + 1000 < last and v + 1000 or last
  local values = call('MGET', unpack(ARGV, v + 1, stop))
  for i = 1, stop - v do
    local value = values[i]
    if value and v + i <= attributes then
      local size = #value
      if size < 63 then
        value, corrupt = false, ARGV[v + i]
      elseif size ~= 72 and size ~= 80 and size ~= 81 then -- without a parent, or a tier alone
        local base, at, acl = sub(value, 1, 71), 72, sub(zero9, 1, 8)
        if size < 71 then base, at = sub(value, 1, 63) .. acl, 64 end
        if size - at >= 7 then acl, at = sub(value, at, at + 7), at + 8 end
        value = base .. acl .. (size >= at and sub(value, at, at) or '\0') .. '\0'
      end
    end
    known[ARGV[v + i]] = value
  end
  v = stop
end

while v < n do
  local op, key = ARGV[v + 1], ARGV[v + 2]
  v = v + 2
  -- checks: the index comes behind the key
  if op == 'a' then -- fields of an attribute: ranges of the body or of the tail, each a byte from, one to, the bytes
    local a, x, at = known[key], ARGV[v + 2], 1
    local size = #x
    while a and at < size do
      local from, to = byte(x, at, at + 1)
      local stop = at + 2 + to - from
      local now = from > 71 and #a == 72 and sub(zero9, from - 71, to - 71) or sub(a, from, to)
      if now ~= sub(x, at + 2, stop) then a = false end
      at = stop + 1
    end
    if not a then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 2
  elseif op == 'h' then -- a field of a hash is this
    if call('HGET', key, ARGV[v + 2]) ~= ARGV[v + 3] then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 3
  elseif op == 'ha' then -- a field of a hash is absent
    if call('HEXISTS', key, ARGV[v + 2]) == 1 then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 2
  elseif op == 'w' then -- a counter is at most this; by sign, length, digits
    local now, most = known[key], ARGV[v + 2]
    if not now then now = call('GET', key) or '0' end
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
      if high > h or (high == h and low > l) then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    elseif tonumber(now) > tonumber(most) then
      failed = (failed and failed .. ',' or '') .. ARGV[v + 1]
    end
    v = v + 2
  elseif op == '!' then -- the end of the checks
    v = v - 1
    if corrupt then return redis.error_reply('KISEKICORRUPT ' .. corrupt) end
    if late or failed then
      failed = '-' .. (failed or '')
      if again == 49 and slot ~= '' then -- the copy before may be on its way
        call('HSET', receipts, slot, sequence .. failed)
        call('EXPIRE', receipts, 3600)
      end
      return failed
    end

  -- writes
  elseif op == 'I' then -- a counter; 'next' ids are stored one lower than they are returned
    local now, delta, offset = known[key], ARGV[v + 1], ARGV[v + 2]
    if now and #now < 16 and #delta < 16 and (now == '0' or string.match(now, '^%-?[1-9]%d*$')) then
      now = string.format('%.0f', now + delta)
      known[key], sets[set + 1], sets[set + 2], set = now, key, now, set + 2
    else
      if set > 0 then call('MSET', unpack(sets)) end
      sets, set = {}, 0
      local sum = call('INCRBY', key, delta)
      if sum < 9007199254740991 and sum > -9007199254740991 then
        now = string.format('%.0f', sum)
      else
        now, offset = call('GET', key), '0'
      end
    end
    if offset ~= '0' then now = string.format('%.0f', now + offset) end
    returned = returned and returned .. ',' .. now or now
    v = v + 2
  elseif op == 'A' then -- a whole attribute
    sets[set + 1], sets[set + 2], set = key, ARGV[v + 1], set + 2
    if set > 4000 then
      call('MSET', unpack(sets))
      sets, set = {}, 0
    end
    v = v + 1
  elseif op == 'P' then -- fields of an attribute: ranges as in 'a'
    local a, x, at, tail = known[key], ARGV[v + 1], 1, false
    local size = #x
    while at < size do
      local from, to = byte(x, at, at + 1)
      local stop = at + 2 + to - from
      if from > 71 then
        tail = true
        if #a < 81 then a = sub(a, 1, 71) .. sub(sub(a, 72) .. zero9, 1, 10) end
      end
      a = sub(a, 1, from - 1) .. sub(x, at + 2, stop) .. sub(a, to + 1)
      at = stop + 1
    end
    known[key], sets[set + 1], set = a, key, set + 2
    if #a > 72 then -- as short as it can be
      local acl, tier = sub(a, 72, 79), sub(a, 80, 80)
      a = sub(a, 1, 71) .. (acl ~= sub(zero9, 1, 8) and acl or '') .. (tier ~= '\0' and tier or '') .. '\0'
    end
    sets[set] = a
    v = v + 1
  elseif op == '=' then -- counters and attributes go out
    v = v - 1
    if set > 0 then call('MSET', unpack(sets)) end
    sets, set = {}, 0
  elseif op == 'H' then
    call('HSET', key, ARGV[v + 1], ARGV[v + 2])
    v = v + 2
  elseif op == 'V' then -- sums of a directory, by its number: length, space, inodes. One that is damaged stays so
    local length, space, inodes = ARGV[v + 1], ARGV[v + 2], ARGV[v + 3]
    local lengths, spaces, numbers = prefix .. 'dirDataLength', prefix .. 'dirUsedSpace', prefix .. 'dirUsedInodes'
    local soft = redis.pcall
    if soft('HEXISTS', spaces, key) == 1 then
      if length ~= '0' then soft('HINCRBY', lengths, key, length) end
      if space ~= '0' then soft('HINCRBY', spaces, key, space) end
      if inodes ~= '0' then soft('HINCRBY', numbers, key, inodes) end
    else -- a missing record is counted
      if dead then call('DEL', unpack(dead)) end
      dead = nil
      if call('EXISTS', prefix .. 'i' .. key) == 1 and call('HLEN', prefix .. 'd' .. key) <= 10000 then
        local high, low, pages, count = 0, 0, 0, 0
        for _, entry in ipairs(call('HVALS', prefix .. 'd' .. key)) do
          local a = #entry == 9 and soft('GET', prefix .. 'i' .. decimal(entry, 2))
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
        soft('HSET', lengths, key, string.format('%.0f', low))
        soft('HINCRBY', lengths, key, string.format('%.0f', high * 4294967296))
        soft('HSET', spaces, key, string.format('%.0f', pages * 4096))
        soft('HSET', numbers, key, string.format('%.0f', count))
      end
    end
    v = v + 3
  elseif op == 'HD' then
    call('HDEL', key, ARGV[v + 1])
    v = v + 1
  elseif op == 'D' then -- goes with others
    dead = dead or {}
    dead[#dead + 1] = key
    if #dead > 4000 then
      call('DEL', unpack(dead))
      dead = nil
    end
  elseif op == '-' then -- what goes is gone: it may be written anew
    v = v - 1
    if dead then call('DEL', unpack(dead)) end
    dead = nil
  elseif op == 'L' then -- records of a chunk: count, then each
    local count, size = tonumber(ARGV[v + 1]), 0
    v = v + 1
    for first = 1, count, 1000 do
      local last = math.min(first + 999, count)
      size = call('RPUSH', key, unpack(ARGV, v + first, v + last))
    end
    v = v + count
    if count == 0 then size = call('LLEN', key) end
    returned = returned and returned .. ',' .. size or size .. ''
  elseif op == 'S' then
    if set > 0 then call('MSET', unpack(sets)) end
    sets, set = {}, 0
    known[key] = ARGV[v + 1]
    call('SET', key, known[key])
    v = v + 1
  elseif op == 'PX' then -- an attribute: type or -1, mode or -1, links to add, length it has at least ("" none)
    local a = known[key]
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
    known[key], sets[set + 1], sets[set + 2], set = a, key, a, set + 2
    if #a > 72 then -- as short as it can be
      local acl, tier = sub(a, 72, 79), sub(a, 80, 80)
      sets[set] = sub(a, 1, 71) .. (acl ~= sub(zero9, 1, 8) and acl or '') .. (tier ~= '\0' and tier or '') .. '\0'
    end
    v = v + 4
  elseif op == 'R' then -- a value to be returned
    returned = returned and returned .. ',' .. key or key
  elseif op == 'K' then -- references of a slice: one fewer than there are
    local now = string.format('%.0f', call('HINCRBY', key, ARGV[v + 1], ARGV[v + 2]) + 1)
    returned = returned and returned .. ',' .. now or now
    v = v + 2
  elseif op == 'N' then -- links in a parent
    if call('HINCRBY', key, ARGV[v + 1], ARGV[v + 2]) <= 0 then call('HDEL', key, ARGV[v + 1]) end
    v = v + 2
  elseif op == 'C' then -- records of a chunk are replaced: first, how many, with how many, each
    local first, count, with = tonumber(ARGV[v + 1]), tonumber(ARGV[v + 2]), tonumber(ARGV[v + 3])
    v = v + 3
    local head = first > 0 and call('LRANGE', key, 0, first - 1) or {}
    if first + count > 0 then call('LTRIM', key, first + count, -1) end
    for i = with, 1, -1 do call('LPUSH', key, ARGV[v + i]) end
    for i = first, 1, -1 do call('LPUSH', key, head[i]) end
    v = v + with
  elseif op == 'Q' then -- use of a quota, by an owner ('o': made when missing) or a directory
    local id, soft = ARGV[v + 3], redis.pcall
    if ARGV[v + 6] == 'o' then soft('HSETNX', key, id, string.rep('\255', 16)) end
    if soft('HEXISTS', key, id) == 1 then
      soft('HINCRBY', ARGV[v + 1], id, ARGV[v + 4])
      soft('HINCRBY', ARGV[v + 2], id, ARGV[v + 5])
    end
    v = v + 6
  elseif op == 'Z' then
    call('ZADD', key, ARGV[v + 1], ARGV[v + 2])
    v = v + 2
  elseif op == 'ZD' then
    call('ZREM', key, ARGV[v + 1])
    v = v + 1
  elseif op == 'M' then
    call('SADD', key, ARGV[v + 1])
    v = v + 1
  elseif op == 'MD' then
    call('SREM', key, ARGV[v + 1])
    v = v + 1
  elseif op == 'U' then -- an owner's lock goes; its session's list forgets the file with its last lock there
    local whose, holds = ARGV[v + 3], false
    call('HDEL', key, ARGV[v + 2])
    for _, field in ipairs(call('HKEYS', key)) do
      if sub(field, 1, #whose) == whose then holds = true end
    end
    if not holds then call('SREM', ARGV[v + 1], key) end
    v = v + 3
  elseif op == 'UA' then -- all locks of a session
    local whose = ARGV[v + 1]
    for _, held in ipairs(call('SMEMBERS', key)) do
      for _, field in ipairs(call('HKEYS', held)) do
        if sub(field, 1, #whose) == whose then call('HDEL', held, field) end
      end
    end
    call('DEL', key)
    v = v + 1
  elseif op == 'G' then -- an ACL rule gets the next id
    local id = string.format('%.0f', call('INCRBY', key, 1))
    call('HSET', ARGV[v + 1], id, ARGV[v + 2])
    returned = returned and returned .. ',' .. id or id
    v = v + 2

  -- checks that are rarer
  elseif op == 't' then -- type of an inode
    local a = known[key]
    if not a or math.floor(byte(a, 2) / 16) ~= tonumber(ARGV[v + 2]) then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 2
  elseif op == 'o' then -- mode of an inode
    local a = known[key]
    if not a or struct.unpack('>I2', a, 2) % 4096 ~= tonumber(ARGV[v + 2]) then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 2
  elseif op == 'n' then -- no such inode
    if known[key] then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 1
  elseif op == 'e' then -- an empty directory
    if call('HLEN', key) ~= 0 then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 1
  elseif op == 's' then
    if call('GET', key) ~= ARGV[v + 2] then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 2
  elseif op == 'sa' then
    if call('EXISTS', key) == 1 then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 1
  elseif op == 'hd' then -- a field, or what its absence means, is this
    if (call('HGET', key, ARGV[v + 2]) or ARGV[v + 3]) ~= ARGV[v + 4] then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 4
  elseif op == 'z' then -- a score; "" for none
    if (call('ZSCORE', key, ARGV[v + 2]) or '') ~= ARGV[v + 3] then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 3
  elseif op == 'l' then -- a chunk begins with these records: how many, all in one
    local count = tonumber(ARGV[v + 2])
    local list = count > 0 and table.concat(call('LRANGE', key, 0, count - 1)) or ''
    if list ~= ARGV[v + 3] then failed = (failed and failed .. ',' or '') .. ARGV[v + 1] end
    v = v + 3
  elseif op == 'm' then -- a hash is this: count, then field and value. 'links': fields that count none do not count
    local index, kind, count = ARGV[v + 1], ARGV[v + 2], tonumber(ARGV[v + 3])
    v = v + 3
    local now, size, same = call('HGETALL', key), 0, true
    local fields = {}
    for i = 1, #now, 2 do
      if kind ~= 'links' or tonumber(now[i + 1]) > 0 then fields[now[i]], size = now[i + 1], size + 1 end
    end
    for _ = 1, count do
      if fields[ARGV[v + 1]] ~= ARGV[v + 2] then same = false end
      v = v + 2
    end
    if not same or size ~= count then failed = (failed and failed .. ',' or '') .. index end
  elseif op == 'f' then -- what never holds
    failed = (failed and failed .. ',' or '') .. key
  elseif op == 'p' then -- an inode to be patched exists, else the commit is refused with no check to blame
    if not known[key] then late = true end
  elseif op == 'F' then -- writes that contradict each other, likewise
    v, late = v - 1, true
  elseif op == 'c' then -- a chunk has so many records, likewise
    if call('LLEN', key) < tonumber(ARGV[v + 1]) then late = true end
    v = v + 1
  else
    return redis.error_reply('KISEKISTEP ' .. op)
  end
end

if dead then call('DEL', unpack(dead)) end
local result = returned and '+' .. returned or '+'
if slot ~= '' then
  -- What this connection changed it must read to hear of it again.
  if tracking == 49 and #KEYS > 0 then call('EXISTS', unpack(KEYS)) end
  -- What has been decided under this number, for copies that come later.
  local new = call('HSET', receipts, slot, sequence .. result) == 1
  if new or prolong == 49 then call('EXPIRE', receipts, 3600) end
end
return result
)lua";

constexpr const char* kReceipt = R"lua(
local last = redis.call('HGET', KEYS[1], ARGV[1])
if not last or string.sub(last, 1, 16) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], last)
return 1
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
    one = entry and #entry == 9 and call('GET', ARGV[v + 2] .. decimal(entry, 2))
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

constexpr const char* kLookUp = R"lua(
local out, names = redis.call('HMGET', KEYS[1], unpack(ARGV, 2)), #ARGV - 1
local base, wanted, place, count = ARGV[1], {}, {}, 0
for i = 1, names do
  local entry = out[i]
  out[names + i] = false
  if entry and #entry == 9 then
    count = count + 1
    wanted[count], place[count] = base .. decimal(entry, 2), names + i
  end
end
if count > 0 then
  local found = redis.call('MGET', unpack(wanted))
  for i = 1, count do out[place[i]] = found[i] end
end
return out
)lua";

constexpr const char* kList = R"lua(
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local out, found, base = {page[1]}, page[2], ARGV[3]
local wanted, place, count = {}, {}, 0
local function read()
  local attributes = redis.call('MGET', unpack(wanted))
  for i = 1, count do out[place[i]] = attributes[i] end
  wanted, place, count = {}, {}, 0
end
local at = 1
for i = 1, #found, 2 do
  local entry = found[i + 1]
  out[at + 1], out[at + 2], out[at + 3] = found[i], entry, false
  if base ~= '' and #entry == 9 then
    count = count + 1
    wanted[count], place[count] = base .. decimal(entry, 2), at + 3
    if count == 1000 then read() end
  end
  at = at + 3
end
if count > 0 then read() end
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
const net::redis::Script& receipt_script() {
  static const net::redis::Script script(kReceipt);
  return script;
}
const net::redis::Script& fetch_script() {
  static const net::redis::Script script(std::string(kDecimal) + kFetch);
  return script;
}
const net::redis::Script& look_up_script() {
  static const net::redis::Script script(std::string(kDecimal) + kLookUp);
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
