// A mask of keys in the form that is added to scores: [batch, rows, keys], 0 for keys that take part and a number for the others.
// operands: result, mask (int32), lengths (int32)
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/past.glsl"

layout(local_size_x = GROUP) in;
// The mask has: 1 an end, 2 a beginning too, 3 a number for each key, 4 for each query and key, 5 for each place and key.
layout(constant_id = 1) const uint kKeyMask = 1;
PUSH(uint count; uint batches; uint rows; uint keys; uint width; int fresh; int past_rows; float filter_value;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint key = item % push.keys, row = item / push.keys % push.rows, batch = item / (push.keys * push.rows);
  Integers mask = Integers(ADDRESS(1));
  bool taken;
  if (kKeyMask <= 2) {
    const int end = clamp(mask.at[batch], 0, int(push.keys));
    const int begin = kKeyMask == 2 ? clamp(mask.at[push.batches + batch], 0, end) : 0;
    taken = int(key) >= begin && int(key) < end;
  } else {
    uint line = batch;
    if (kKeyMask == 4) line = batch * push.rows + row;
    if (kKeyMask == 5) {
      const int past = past_before(Integers(ADDRESS(2)), batch, push.past_rows, push.fresh);
      line = batch * push.width + uint(clamp(past + int(row), 0, int(push.width) - 1));
    }
    taken = mask.at[line * push.width + key] > 0;
  }
  Floats(ADDRESS(0)).at[item] = taken ? 0.0 : push.filter_value;
}
