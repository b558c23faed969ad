"""What Redis does in one step: the scripts that take and replace generations. Redis 5 or newer, or what speaks like it.

A generation's key holds 16 digits, the time of the last write by the clock of Redis in milliseconds; 16 digits, the time
until which nothing of it is kept; and then up to 8 values of 16 random bytes, the newest first. By the older ones a
process sees whether a value that it does not know came behind its own, or is an old one that came back.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

VALUES: Final = 8
SIZE: Final = 16
HEAD: Final = 32

_COMMON: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function stored(key)
  local value = redis.pcall('GET', key)
  if type(value) ~= 'string' or #value < 48 or (#value - 32) % 16 ~= 0
     or not string.find(string.sub(value, 1, 32), '^%d+$') then return nil end
  return value
end
local function head(written, blocked) return string.format('%016d%016d', written, blocked) end
local function blocked_of(value, more)
  local until_ = value and tonumber(string.sub(value, 17, 32)) or 0
  more = tonumber(more)
  if more > 0 and now + more > until_ then until_ = now + more end
  return math.min(until_, now + 3600000)
end
local function ring(value) return value and string.sub(value, 33, 32 + 7 * 16) or '' end
"""

REPLACE: Final = (
    _COMMON
    + """
for i, key in ipairs(KEYS) do
  local value = stored(key)
  redis.call('SET', key, head(now, blocked_of(value, ARGV[2])) .. ARGV[2 + i] .. ring(value), 'PX', ARGV[1])
end
return 1
"""
)
"""ARGV: milliseconds to live, milliseconds to block, and a new value for each key."""

BEGIN: Final = (
    _COMMON
    + """
local out = {tostring(now)}
for i, key in ipairs(KEYS) do
  local new, own, block = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  local value = stored(key)
  local known = value and own == ''
  if value and own ~= '' then
    for at = 33, #value, 16 do
      if string.sub(value, at, at + 15) == own then known = true; break end
    end
  end
  if not known or blocked_of(value, block) > blocked_of(value, 0) + 1000 then
    local written = value and tonumber(string.sub(value, 1, 16)) or 0
    if own ~= '' then written = now end
    value = head(written, blocked_of(value, block)) .. new .. ring(value)
    redis.call('SET', key, value, 'PX', ARGV[1])
  elseif redis.call('PTTL', key) < ARGV[1] / 2 then
    redis.call('PEXPIRE', key, ARGV[1])
  end
  out[i + 1] = value
end
return out
"""
)
"""ARGV: milliseconds to live, and for each key a new value, the value that the process set (or nothing) and how long it is
blocked as the process knows. Gives the time, and what each key holds then."""

SERVER: Final = (
    _COMMON
    + """
if redis.pcall('GET', KEYS[1]) == ARGV[2] then return 0 end
local value = stored(KEYS[2])
redis.call('SET', KEYS[2], head(value and now or 0, blocked_of(value, 0)) .. ARGV[3] .. ring(value), 'PX', ARGV[1])
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
)
"""Another server answers than before: a new epoch. ARGV: milliseconds to live, the server's id, a new value."""

NAMES: Final = {script: sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (REPLACE, BEGIN, SERVER)}
"""What Redis calls each script: ``EVALSHA`` sends no more than that."""
