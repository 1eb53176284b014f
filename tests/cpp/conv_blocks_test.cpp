#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/conv/depthwise_block.h"
#include "kernels/conv/pointwise.h"

namespace fastort::kernels {
namespace {

using Floats = std::vector<float>;

Floats random_floats(int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  Floats values(static_cast<size_t>(count));
  for (float& value : values) value = normal(engine);
  return values;
}

int64_t padded(int64_t channels, int block) { return (channels + block - 1) / block * block; }

// A map [N,C,P] in blocks of channels; what is beyond C is zero.
Floats to_blocks(const Floats& plain, int64_t images, int64_t channels, int64_t pixels, int block) {
  Floats blocks(static_cast<size_t>(images * padded(channels, block) * pixels), 0.0f);
  for (int64_t n = 0; n < images; ++n)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < pixels; ++p)
        blocks[static_cast<size_t>(((n * padded(channels, block) + c / block * block) * pixels) + p * block +
                                   c % block)] = plain[static_cast<size_t>((n * channels + c) * pixels + p)];
  return blocks;
}

// Aligned as a session's workspace is.
struct Workspace {
  explicit Workspace(size_t size) : bytes(size + 64) {}
  std::byte* data() {
    const auto address = reinterpret_cast<uintptr_t>(bytes.data());
    return bytes.data() + (64 - address % 64) % 64;
  }
  std::vector<std::byte> bytes;
};

void check_close(const Floats& result, const Floats& expected, double tolerance) {
  REQUIRE(result.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < result.size(); ++i)
    worst = std::max(worst, static_cast<double>(std::fabs(result[i] - expected[i])));
  CHECK(worst <= tolerance);
}

struct PointwiseCase {
  int64_t images, channels, out_channels, height, width;
  bool bias, residual, gated;
  Activation activation;
};

void check_pointwise(const PointwiseCase& c, int block, int threads) {
  CAPTURE(c.channels);
  CAPTURE(c.out_channels);
  CAPTURE(c.height * c.width);
  CAPTURE(block);
  CAPTURE(threads);
  ConvShape shape;
  shape.batch = c.images, shape.in_channels = c.channels, shape.out_channels = c.out_channels;
  shape.in = shape.out = {c.height, c.width, 1};
  const int64_t pixels = c.height * c.width;
  const ConvEpilogue epilogue{c.bias, c.residual, {c.activation, 0.2f, 0.7f}};
  const Floats x = random_floats(c.images * c.channels * pixels, 1), w = random_floats(c.out_channels * c.channels, 2);
  const Floats b = random_floats(c.out_channels, 3), z = random_floats(c.images * c.out_channels * pixels, 4);
  const Floats gate = random_floats(c.images * c.channels, 5);
  Floats expected(z.size());
  for (int64_t n = 0; n < c.images; ++n)
    for (int64_t m = 0; m < c.out_channels; ++m)
      for (int64_t p = 0; p < pixels; ++p) {
        double sum = c.bias ? static_cast<double>(b[static_cast<size_t>(m)]) : 0.0;
        for (int64_t k = 0; k < c.channels; ++k) {
          const double factor = c.gated ? static_cast<double>(gate[static_cast<size_t>(n * c.channels + k)]) : 1.0;
          sum += factor * static_cast<double>(x[static_cast<size_t>((n * c.channels + k) * pixels + p)]) *
                 static_cast<double>(w[static_cast<size_t>(m * c.channels + k)]);
        }
        const auto at = static_cast<size_t>((n * c.out_channels + m) * pixels + p);
        if (c.residual) sum += static_cast<double>(z[at]);
        expected[at] = static_cast<float>(activate(epilogue.activation, sum));
      }
  const PointwiseConv conv(shape, epilogue, c.gated, block, threads);
  Floats packed(conv.weights_bytes() / sizeof(float));
  conv.pack_weights(w.data(), packed.data());
  const Floats src = to_blocks(x, c.images, c.channels, pixels, block);
  const Floats residual = to_blocks(z, c.images, c.out_channels, pixels, block);
  const Floats factors = to_blocks(gate, c.images, c.channels, 1, block);
  Floats dst(residual.size(), 99.0f);
  Workspace workspace(conv.workspace_bytes());
  conv.run(src.data(), packed.data(), c.bias ? b.data() : nullptr, c.residual ? residual.data() : nullptr,
           factors.data(), dst.data(), workspace.data(), Parallel(ThreadPool::instance(), threads));
  check_close(dst, to_blocks(expected, c.images, c.out_channels, pixels, block),
              4e-6 * static_cast<double>(c.channels) + 1e-5);
}

struct DepthwiseCase {
  int64_t images, channels, expand_from, height, width, kernel_height, kernel_width, stride_y, stride_x, pad, dilation;
  bool bias, mean;
  Activation before, after;
};

void check_depthwise(const DepthwiseCase& c, int block, int threads) {
  CAPTURE(c.channels);
  CAPTURE(c.expand_from);
  CAPTURE(c.height);
  CAPTURE(c.width);
  CAPTURE(c.kernel_height);
  CAPTURE(c.stride_y);
  CAPTURE(block);
  CAPTURE(threads);
  ConvShape shape;
  shape.batch = c.images, shape.in_channels = shape.out_channels = shape.groups = c.channels;
  shape.in = {c.height, c.width, 1};
  shape.kernel = {c.kernel_height, c.kernel_width, 1};
  shape.stride = {c.stride_y, c.stride_x, 1};
  shape.dilation = {c.dilation, c.dilation, 1};
  shape.pad_begin = shape.pad_end = {c.pad, c.pad, 0};
  for (size_t i = 0; i < 2; ++i)
    shape.out[i] = (shape.in[i] + 2 * c.pad - (shape.kernel[i] - 1) * c.dilation - 1) / shape.stride[i] + 1;
  DepthwiseBlock::Parts parts;
  parts.expand = c.expand_from > 0;
  parts.channels = c.expand_from;
  parts.activation = {c.before, 0.2f, 0.6f};
  parts.mean = c.mean;
  const ConvEpilogue epilogue{c.bias, false, {c.after, 0.2f, 0.6f}};

  const int64_t in_channels = parts.expand ? c.expand_from : c.channels, taps = shape.taps();
  const int64_t in_pixels = shape.in_pixels(), out_pixels = shape.out_pixels();
  const Floats x = random_floats(c.images * in_channels * in_pixels, 1);
  const Floats we = random_floats(c.channels * std::max<int64_t>(c.expand_from, 1), 2);
  const Floats be = random_floats(c.channels, 3), w = random_floats(c.channels * taps, 4);
  const Floats b = random_floats(c.channels, 5);
  std::vector<double> between(static_cast<size_t>(c.images * c.channels * in_pixels));
  Floats expected(static_cast<size_t>(c.images * c.channels * out_pixels));
  Floats means(static_cast<size_t>(c.images * c.channels));
  for (int64_t n = 0; n < c.images; ++n)
    for (int64_t m = 0; m < c.channels; ++m) {
      double* map = between.data() + (n * c.channels + m) * in_pixels;
      for (int64_t p = 0; p < in_pixels; ++p) {
        map[p] =
            static_cast<double>(x[static_cast<size_t>((n * in_channels + (parts.expand ? 0 : m)) * in_pixels + p)]);
        if (!parts.expand) continue;
        double sum = c.bias ? static_cast<double>(be[static_cast<size_t>(m)]) : 0.0;
        for (int64_t k = 0; k < c.expand_from; ++k)
          sum += static_cast<double>(x[static_cast<size_t>((n * in_channels + k) * in_pixels + p)]) *
                 static_cast<double>(we[static_cast<size_t>(m * c.expand_from + k)]);
        map[p] = activate(parts.activation, sum);
      }
      double total = 0;
      for (int64_t y = 0; y < shape.out[0]; ++y)
        for (int64_t o = 0; o < shape.out[1]; ++o) {
          double sum = c.bias ? static_cast<double>(b[static_cast<size_t>(m)]) : 0.0;
          for (int64_t tap = 0; tap < taps; ++tap) {
            const int64_t iy = y * c.stride_y - c.pad + tap / c.kernel_width * c.dilation;
            const int64_t ix = o * c.stride_x - c.pad + tap % c.kernel_width * c.dilation;
            if (iy < 0 || iy >= c.height || ix < 0 || ix >= c.width) continue;
            sum += map[iy * c.width + ix] * static_cast<double>(w[static_cast<size_t>(m * taps + tap)]);
          }
          sum = activate(epilogue.activation, sum);
          total += sum;
          expected[static_cast<size_t>((n * c.channels + m) * out_pixels + y * shape.out[1] + o)] =
              static_cast<float>(sum);
        }
      means[static_cast<size_t>(n * c.channels + m)] = static_cast<float>(total / static_cast<double>(out_pixels));
    }

  const DepthwiseBlock conv(shape, epilogue, parts, block, threads);
  Floats packed(conv.weights_bytes() / sizeof(float)), packed_expand(conv.expand_bytes() / sizeof(float));
  conv.pack_weights(w.data(), packed.data());
  if (parts.expand) conv.pack_expand(we.data(), packed_expand.data());
  const DepthwiseBlock::Weights weights{packed_expand.data(), c.bias ? be.data() : nullptr, packed.data(),
                                        c.bias ? b.data() : nullptr};
  const Floats src = to_blocks(x, c.images, in_channels, in_pixels, block);
  Floats dst(static_cast<size_t>(c.images * padded(c.channels, block) * out_pixels), 99.0f);
  Floats mean(static_cast<size_t>(c.images * padded(c.channels, block)), 99.0f);
  Workspace workspace(conv.workspace_bytes());
  conv.run(src.data(), weights, nullptr, dst.data(), c.mean ? mean.data() : nullptr, workspace.data(),
           Parallel(ThreadPool::instance(), threads));
  const double tolerance = 4e-6 * static_cast<double>(c.expand_from + 1) * static_cast<double>(taps) + 1e-5;
  check_close(dst, to_blocks(expected, c.images, c.channels, out_pixels, block), tolerance);
  if (c.mean) check_close(mean, to_blocks(means, c.images, c.channels, 1, block), tolerance);
}

}  // namespace

TEST_CASE("1x1 convolutions in blocks of channels") {
  constexpr PointwiseCase kCases[] = {
      {1, 1, 1, 1, 1, false, false, false, Activation::None},
      {1, 8, 16, 1, 1, true, false, false, Activation::Relu},
      {2, 13, 11, 7, 7, true, true, false, Activation::Clip},
      {1, 40, 24, 3, 5, true, true, true, Activation::Silu},
      {3, 17, 33, 5, 1, false, true, true, Activation::HardSigmoid},
      {1, 64, 72, 14, 14, true, false, false, Activation::HardSwish},
      {2, 301, 40, 7, 7, true, true, true, Activation::Gelu},
      {1, 600, 19, 2, 13, false, false, true, Activation::Sigmoid},
      {1, 24, 48, 31, 37, true, false, false, Activation::LeakyRelu},
      {1, 960, 160, 7, 7, true, true, true, Activation::None},
  };
  for (const PointwiseCase& c : kCases)
    for (const int block : {8, 16})
      for (const int threads : {1, 2, 3}) check_pointwise(c, block, threads);
}

TEST_CASE("depthwise convolutions in blocks of channels, behind a 1x1 convolution and without") {
  constexpr auto kNone = Activation::None;
  constexpr DepthwiseCase kCases[] = {
      {1, 8, 0, 5, 5, 3, 3, 1, 1, 1, 1, true, false, kNone, Activation::Relu},
      {1, 16, 0, 14, 14, 5, 5, 1, 1, 2, 1, true, true, kNone, Activation::HardSwish},
      {2, 13, 0, 9, 11, 3, 3, 2, 2, 1, 1, false, true, kNone, Activation::HardSigmoid},
      {1, 24, 0, 1, 1, 3, 3, 1, 1, 1, 1, true, true, kNone, Activation::Silu},
      {1, 33, 0, 17, 8, 7, 7, 1, 1, 3, 1, true, false, kNone, Activation::Clip},
      {1, 11, 0, 23, 19, 3, 5, 3, 1, 2, 1, true, false, kNone, kNone},
      {1, 16, 0, 21, 20, 3, 3, 1, 2, 2, 2, true, true, kNone, kNone},
      {1, 48, 8, 14, 14, 3, 3, 1, 1, 1, 1, true, true, Activation::HardSwish, Activation::HardSwish},
      {2, 72, 24, 13, 7, 5, 5, 2, 2, 2, 1, true, true, Activation::Relu, Activation::Relu},
      {1, 40, 13, 7, 7, 5, 5, 1, 1, 2, 1, false, true, Activation::Silu, Activation::Silu},
      {1, 19, 5, 30, 61, 3, 3, 1, 1, 1, 1, true, true, Activation::Sigmoid, Activation::Sigmoid},
      {1, 32, 16, 57, 113, 3, 3, 2, 2, 1, 1, true, true, Activation::Clip, Activation::Clip},
      {1, 16, 300, 5, 6, 3, 3, 1, 1, 0, 1, true, false, Activation::Relu, kNone},
      {1, 64, 16, 40, 9, 3, 3, 4, 2, 1, 1, true, true, Activation::Relu, kNone},
      {1, 8, 8, 40, 200, 7, 7, 1, 1, 3, 1, true, true, Activation::HardSwish, kNone},
  };
  for (const DepthwiseCase& c : kCases)
    for (const int block : {8, 16})
      for (const int threads : {1, 2, 3}) check_depthwise(c, block, threads);
}

TEST_CASE("the mean of a depthwise convolution has the same bits for any number of threads") {
  ConvShape shape;
  shape.batch = 1, shape.in_channels = shape.out_channels = shape.groups = 16;
  shape.in = shape.out = {37, 29, 1};
  shape.kernel = {3, 3, 1};
  shape.pad_begin = shape.pad_end = {1, 1, 0};
  DepthwiseBlock::Parts parts;
  parts.mean = true;
  const Floats src = random_floats(16 * 37 * 29, 1), weights = random_floats(16 * 9, 2);
  std::vector<Floats> means;
  for (const int threads : {1, 2, 3, 8}) {
    const DepthwiseBlock conv(shape, {}, parts, 8, threads);
    Floats packed(conv.weights_bytes() / sizeof(float)), dst(src.size()), mean(16);
    conv.pack_weights(weights.data(), packed.data());
    Workspace workspace(conv.workspace_bytes());
    DepthwiseBlock::Weights all;
    all.depthwise = packed.data();
    conv.run(src.data(), all, nullptr, dst.data(), mean.data(), workspace.data(),
             Parallel(ThreadPool::instance(), threads));
    means.push_back(mean);
  }
  for (const Floats& mean : means) CHECK(mean == means[0]);
}

}  // namespace fastort::kernels
