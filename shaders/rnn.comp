// RNN, GRU and LSTM, a step at a time for both directions: "start" writes the first states, "step" makes the next ones
// out of W X (computed before for all steps) and R h, "reset" is a GRU's first half where the reset gate comes before
// the product, "finish" hands the last states out.
// operands: see each variant
// variant start: -DSTART
// variant step: -DSTEP
// variant reset: -DRESET
// variant finish: -DFINISH
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/math.glsl"

layout(local_size_x = GROUP) in;
// In the order of kernels::RnnKind: RNN, GRU, LSTM.
layout(constant_id = 0) const uint kKind = 2;
// What is there: bit 0 biases, 1 peepholes, 2 lengths, 3 initial h, 4 initial c, 5 Y, 6 Y_h, 7 Y_c. How it is computed:
// 8 input_forget, 9 linear_before_reset, 10 batch first, 11 the only direction is reversed.
layout(constant_id = 1) const uint kParts = 0;
PUSH(uint count; uint steps; uint batch; uint hidden; uint directions; uint step; float clip;);

bool has(uint bit) { return ((kParts >> bit) & 1) == 1; }

// An invocation's place: states are [directions, batch, hidden]. `last` is the length of its sequence.
struct Place {
  uint direction, batch, unit, last;
};
Place place_of(uint item, Integers lengths) {
  Place place;
  place.unit = item % push.hidden;
  place.batch = item / push.hidden % push.batch;
  place.direction = item / push.hidden / push.batch;
  place.last = push.steps;
#ifndef FINISH
  if (has(2)) place.last = uint(clamp(lengths.at[place.batch], 0, int(push.steps)));
#endif
  return place;
}
// Of the states outside, whose first dimension may be the batch.
uint outer_state(Place p) {
  const uint row = has(10) ? p.batch * push.directions + p.direction : p.direction * push.batch + p.batch;
  return row * push.hidden + p.unit;
}

#if defined(START)

// h, c, initial h, initial c, lengths
void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const Place p = place_of(item, Integers(ADDRESS(4)));
  if (has(2)) {
    const int length = Integers(ADDRESS(4)).at[p.batch];
    if (length < 0 || length > int(push.steps)) REPORT();
  }
  Floats(ADDRESS(0)).at[item] = has(3) ? Floats(ADDRESS(2)).at[outer_state(p)] : 0.0;
  if (kKind == 2) Floats(ADDRESS(1)).at[item] = has(4) ? Floats(ADDRESS(3)).at[outer_state(p)] : 0.0;
}

#elif defined(FINISH)

// Y_h, Y_c, h, c
void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const Place p = place_of(item, Integers(ADDRESS(0)));
  if (has(6)) Floats(ADDRESS(0)).at[outer_state(p)] = Floats(ADDRESS(2)).at[item];
  if (has(7)) Floats(ADDRESS(1)).at[outer_state(p)] = Floats(ADDRESS(3)).at[item];
}

#else

// next h, Y, W X, R, B, P, h, c, lengths, activations (three for each direction: function, alpha, beta), gates
const uint kGates = kKind == 2 ? 4 : kKind == 1 ? 3 : 1;

float bounded(float x) { return push.clip > 0.0 ? clamped(x, -push.clip, push.clip) : x; }

// In the order of kernels::GateFunction.
float activate(uint direction, uint number, float x) {
  Words table = Words(ADDRESS(9));
  const uint at = (direction * 3 + number) * 3;
  const float a = uintBitsToFloat(table.at[at + 1]), b = uintBitsToFloat(table.at[at + 2]);
  switch (table.at[at]) {
    case 0:
      return sigmoid(x);
    case 1:
      return hyperbolic_tangent(x);
    case 2:
      return relu(x);
    case 3:
      return a * x + b;
    case 4:
      return x < 0.0 ? a * x : x;
    case 5:
      return x < a ? 0.0 : x;
    case 6:
      return a * hyperbolic_tangent(b * x);
    case 7:
      return clamped(a * x + b, 0.0, 1.0);
    case 8:
      return x < 0.0 ? a * exponential_minus_1(x) : x;
    case 9:
      return x / (1.0 + abs(x));
    default:
      return softplus(x);
  }
}
float gated(uint direction, uint number, float x) { return activate(direction, number, bounded(x)); }

// The row of W X that belongs to this step.
uint x_row(Place p) {
  const bool backward = has(11) || p.direction == 1;
  const uint time = backward ? p.last - 1 - push.step : push.step;
  const uint row = has(10) ? p.batch * push.steps + time : time * push.batch + p.batch;
  return (p.direction * push.steps * push.batch + row) * kGates * push.hidden + p.unit;
}
uint y_at(Place p, uint time) {
  const uint row = has(10) ? (p.batch * push.steps + time) * push.directions + p.direction
                           : (time * push.directions + p.direction) * push.batch + p.batch;
  return row * push.hidden + p.unit;
}
float bias(Place p, uint gate, bool recurrent) {
  if (!has(0)) return 0.0;
  return Floats(ADDRESS(4)).at[((p.direction * 2 + (recurrent ? 1 : 0)) * kGates + gate) * push.hidden + p.unit];
}
float recurrent(Place p, uint gate, Floats state) {
  Floats r = Floats(ADDRESS(3));
  const uint row = ((p.direction * kGates + gate) * push.hidden + p.unit) * push.hidden;
  const uint from = (p.direction * push.batch + p.batch) * push.hidden;
  float sum = 0.0;
  for (uint k = 0; k < push.hidden; ++k) sum = fma(r.at[row + k], state.at[from + k], sum);
  return sum;
}
// What goes into a gate.
float summed(Place p, uint gate) {
  return Floats(ADDRESS(2)).at[x_row(p) + gate * push.hidden] + bias(p, gate, false) + bias(p, gate, true) +
         recurrent(p, gate, Floats(ADDRESS(6)));
}

#ifdef RESET

// The gates receive the update gate, then r * h.
void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const Place p = place_of(item, Integers(ADDRESS(8)));
  if (push.step >= p.last) return;
  Floats gates = Floats(ADDRESS(10));
  gates.at[item] = gated(p.direction, 0, summed(p, 0));
  gates.at[push.count + item] = gated(p.direction, 0, summed(p, 1)) * Floats(ADDRESS(6)).at[item];
}

#else

float next_gru(Place p, uint item) {
  const float x = Floats(ADDRESS(2)).at[x_row(p) + 2 * push.hidden] + bias(p, 2, false);
  const float old = Floats(ADDRESS(6)).at[item];
  float update, fresh;
  if (has(9)) {
    const float reset = gated(p.direction, 0, summed(p, 1));
    update = gated(p.direction, 0, summed(p, 0));
    fresh = gated(p.direction, 1, x + reset * (recurrent(p, 2, Floats(ADDRESS(6))) + bias(p, 2, true)));
  } else {
    // The products' state is r * h, behind the update gates.
    Floats r = Floats(ADDRESS(3));
    Floats gates = Floats(ADDRESS(10));
    const uint row = ((p.direction * 3 + 2) * push.hidden + p.unit) * push.hidden;
    const uint from = push.count + (p.direction * push.batch + p.batch) * push.hidden;
    float sum = 0.0;
    for (uint k = 0; k < push.hidden; ++k) sum = fma(r.at[row + k], gates.at[from + k], sum);
    update = gates.at[item];
    fresh = gated(p.direction, 1, x + bias(p, 2, true) + sum);
  }
  return (1.0 - update) * fresh + update * old;
}

float next_lstm(Place p, uint item) {
  const float old = Floats(ADDRESS(7)).at[item];
  float pi = 0.0, po = 0.0, pf = 0.0;
  if (has(1)) {
    Floats peepholes = Floats(ADDRESS(5));
    const uint at = p.direction * 3 * push.hidden + p.unit;
    pi = peepholes.at[at];
    po = peepholes.at[at + push.hidden];
    pf = peepholes.at[at + 2 * push.hidden];
  }
  const float into = gated(p.direction, 0, summed(p, 0) + pi * old);
  const float forget = has(8) ? 1.0 - into : gated(p.direction, 0, summed(p, 2) + pf * old);
  const float next = forget * old + into * gated(p.direction, 1, summed(p, 3));
  const float outward = gated(p.direction, 0, summed(p, 1) + po * next);
  Floats(ADDRESS(7)).at[item] = next;
  return outward * activate(p.direction, 2, next);
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const Place p = place_of(item, Integers(ADDRESS(8)));
  Floats h = Floats(ADDRESS(0));
  if (push.step >= p.last) {
    // Zeros behind the end of a sequence, whose state stays.
    h.at[item] = Floats(ADDRESS(6)).at[item];
    if (has(5)) Floats(ADDRESS(1)).at[y_at(p, push.step)] = 0.0;
    return;
  }
  float next;
  if (kKind == 2)
    next = next_lstm(p, item);
  else if (kKind == 1)
    next = next_gru(p, item);
  else
    next = gated(p.direction, 0, summed(p, 0));
  h.at[item] = next;
  const bool backward = has(11) || p.direction == 1;
  if (has(5)) Floats(ADDRESS(1)).at[y_at(p, backward ? p.last - 1 - push.step : push.step)] = next;
}

#endif
#endif
