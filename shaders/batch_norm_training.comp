// BatchNormalization by the mean and variance of the batch itself: a group takes a channel.
// operands: Y, running mean, running variance, X, scale, bias, mean, variance
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
// Bit 0: the running mean is wanted, 1: the running variance.
layout(constant_id = 0) const uint kOutputs = 0;
layout(constant_id = 1) const uint kRelu = 0;
PUSH(uint channels; uint batch; uint pixels; float epsilon; float momentum;);

shared float lanes[GROUP];

float across(float value) {
  const uint lane = gl_LocalInvocationID.x;
  lanes[lane] = value;
  barrier();
  for (uint width = GROUP / 2; width > 0; width /= 2) {
    if (lane < width) lanes[lane] += lanes[lane + width];
    barrier();
  }
  const float sum = lanes[0];
  barrier();
  return sum;
}

void main() {
  const uint channel = group_number(), lane = gl_LocalInvocationID.x;
  if (channel >= push.channels) return;
  Reals x = Reals(ADDRESS(3));
  const uint count = push.batch * push.pixels, step = push.channels * push.pixels, base = channel * push.pixels;
  float sum = 0.0;
  for (uint i = lane; i < count; i += GROUP) sum += float(x.at[i / push.pixels * step + base + i % push.pixels]);
  const float mean = across(sum) / float(count);
  sum = 0.0;
  for (uint i = lane; i < count; i += GROUP) {
    const float d = float(x.at[i / push.pixels * step + base + i % push.pixels]) - mean;
    sum = fma(d, d, sum);
  }
  const float variance = across(sum) / float(count);
  const float factor = float(Reals(ADDRESS(4)).at[channel]) / sqrt(variance + push.epsilon);
  const float shift = float(Reals(ADDRESS(5)).at[channel]);
  for (uint i = lane; i < count; i += GROUP) {
    const uint at = i / push.pixels * step + base + i % push.pixels;
    const float y = (float(x.at[at]) - mean) * factor + shift;
    Reals(ADDRESS(0)).at[at] = REAL(kRelu == 1 && y < 0.0 ? 0.0 : y);
  }
  if (lane != 0) return;
  if ((kOutputs & 1) != 0)
    Reals(ADDRESS(1)).at[channel] = REAL(float(Reals(ADDRESS(6)).at[channel]) * push.momentum + mean * (1.0 - push.momentum));
  if ((kOutputs & 2) != 0)
    Reals(ADDRESS(2)).at[channel] =
        REAL(float(Reals(ADDRESS(7)).at[channel]) * push.momentum + variance * (1.0 - push.momentum));
}
