"""What Redis does in one step: the scripts that take and replace generations. Redis 5 or newer, or what speaks like it.

A generation's key holds 16 digits, the time of the last write by the clock of Redis in milliseconds; 16 digits, the time
until which nothing of it is kept; and then up to 8 values of 16 random bytes, the newest first. By the older ones a
process sees whether a value that it does not know came behind its own, or is an old one that came back.

Redis may have lost any of them, and what is missing proves nothing. So a generation that is made anew counts as written
at this moment: for ``settle`` seconds it is read consistently, and of an index nothing is kept. That costs twice the units
for what nobody has asked for in a long time. It cannot count as blocked as well, for then nothing would be kept that is
asked for the first time. So a block has a key of its own, beside the generation's, and whoever makes the generation anew looks there.
Who lost both is told again by the process that has blocked it: see `Shared.tend`.
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
local function held(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and string.find(value, '^%d+$') and tonumber(value) or 0
end
local function blocked_of(value, block, more)
  local until_ = value and tonumber(string.sub(value, 17, 32)) or held(block)
  if more > 0 and now + more > until_ then until_ = now + more end
  return math.min(until_, now + 3600000)
end
local function hold(block, until_)
  if held(block) + 1000 < until_ then redis.call('SET', block, string.format('%016d', until_), 'PX', until_ - now) end
end
local function ring(value) return value and string.sub(value, 33, 32 + 7 * 16) or '' end
"""

REPLACE: Final = (
    _COMMON
    + """
for i = 1, #KEYS / 2 do
  local key, block, more = KEYS[2 * i - 1], KEYS[2 * i], tonumber(ARGV[2 * i])
  local value = stored(key)
  local until_ = blocked_of(value, block, more)
  redis.call('SET', key, head(now, until_) .. ARGV[2 * i + 1] .. ring(value), 'PX', ARGV[1])
  if more > 0 then hold(block, until_) end
end
return 1
"""
)
"""KEYS: of each generation, and of its block. ARGV: milliseconds to live, and for each the milliseconds to block and a new value."""

BEGIN: Final = (
    _COMMON
    + """
local out = {tostring(now)}
for i = 1, #KEYS / 2 do
  local key, block = KEYS[2 * i - 1], KEYS[2 * i]
  local new, own, more = ARGV[3 * i - 1], ARGV[3 * i], tonumber(ARGV[3 * i + 1])
  local value = stored(key)
  local known = value and own == ''
  if value and own ~= '' then
    for at = 33, #value, 16 do
      if string.sub(value, at, at + 15) == own then known = true; break end
    end
  end
  local until_ = blocked_of(value, block, more)
  if not known or until_ > blocked_of(value, block, 0) + 1000 then
    value = head(now, until_) .. new .. ring(value)
    redis.call('SET', key, value, 'PX', ARGV[1])
  elseif redis.call('PTTL', key) < ARGV[1] / 2 then
    redis.call('PEXPIRE', key, ARGV[1])
  end
  if more > 0 then hold(block, until_) end
  out[i + 1] = value
end
return out
"""
)
"""KEYS: of each generation, and of its block. ARGV: milliseconds to live, and for each a new value, the value that the process
set (or nothing) and how long it is blocked as the process knows. Gives the time, and what each key holds then."""

SERVER: Final = (
    _COMMON
    + """
if redis.pcall('GET', KEYS[1]) == ARGV[2] then return 0 end
redis.call('SET', KEYS[2], head(now, blocked_of(stored(KEYS[2]), KEYS[3], 0)) .. ARGV[3], 'PX', ARGV[1])
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
)
"""Another server answers than before, which may hold less: a new epoch, which shows that it came behind no other. ARGV: milliseconds to live, the server's id, a new value."""

NAMES: Final = {script: sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (REPLACE, BEGIN, SERVER)}
"""What Redis calls each script: ``EVALSHA`` sends no more than that."""
