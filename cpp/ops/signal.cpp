// DFT, STFT and MelWeightMatrix.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "kernels/fft.h"
#include "ops/core/move.h"
#include "ops/gpu.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

using kernels::Complex;
using kernels::Fft;

constexpr int64_t kMostPoints = int64_t{1} << 26;  // of one transform

// ---- elements ------------------------------------------------------------------------------------------------------

template <class T>
double load(T value) {
  return static_cast<double>(widened(value));
}

template <class T>
T round_to(double value) {
  return rounded<T>(static_cast<Arithmetic<T>>(value));
}

template <class F>
decltype(auto) with_real(DataType type, F&& f) {
  return with_type(FloatList{}, "a transform", type, f);
}

// A number of points that came from the model or from data.
template <class Context>
void check_points(const Context& context, const char* what, int64_t n) {
  if (n < 1 || n > kMostPoints)
    context.fail(std::string(what) + " must be from 1 to " + std::to_string(kMostPoints) + ", got " +
                 std::to_string(n));
}

// The item of an optional scalar input as a size, where it is known.
std::optional<Dim> size_input(const InferContext& context, int i) {
  const auto dims = context.dims(i);
  if (!dims) return std::nullopt;
  if (dims->size() != 1) context.fail("input " + std::to_string(i) + " must hold one number");
  return (*dims)[0];
}

int64_t scalar_input(const OpContext& context, int i) {
  const auto items = context.ints(i);
  if (items.size() != 1) context.fail("input " + std::to_string(i) + " must hold one number");
  return items[0];
}

bool flag(const Attributes& attributes, const char* name, int64_t fallback) {
  return attributes.get_int(name, fallback) != 0;
}

// Kernels run lines in pieces, each with its own pair of arrays in the workspace.
class Lines {
 public:
  Lines(const OpContext& context, int64_t lines, const Fft& fft)
      : lines_(lines),
        pieces_(std::clamp<int64_t>(lines * fft.room() / 4096, 1, std::max(1, context.options.threads))),
        room_(fft.room()) {}
  size_t bytes() const { return static_cast<size_t>(pieces_ * 2 * room_) * sizeof(Complex); }
  template <class F>
  void run(const KernelArgs& args, F line) const {
    args.parallel.chunks(static_cast<int>(pieces_), [&](int piece) {
      Complex* data = reinterpret_cast<Complex*>(args.workspace) + piece * 2 * room_;
      for (int64_t i = lines_ * piece / pieces_; i < lines_ * (piece + 1) / pieces_; ++i) line(i, data, data + room_);
    });
  }

 private:
  int64_t lines_, pieces_, room_;
};

// ---- DFT -----------------------------------------------------------------------------------------------------------

int dft_axis(const Node& node, int64_t axis, int rank) {
  const int result = normalize_axis(node, axis, rank);
  if (result == rank - 1) invalid_graph("DFT: axis " + std::to_string(axis) + " is that of the complex parts");
  return result;
}

void infer_dft(InferContext& context) {
  const bool inverse = flag(context.attributes(), "inverse", 0), onesided = flag(context.attributes(), "onesided", 0);
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  Shape shape = context.shape(0);
  const int rank = shape.rank();
  if (rank < 2) context.fail("the input must have at least two dimensions, got " + to_string(shape, context.symbols));
  const Dim parts = shape[shape.size() - 1];
  if (is_known(parts) && parts != 1 && parts != 2)
    context.fail("the last dimension must be 1 (real) or 2 (complex), got " + std::to_string(parts));
  if (onesided && !inverse && parts == 2) context.fail("a complex input has no onesided transform");
  if (onesided && inverse && parts == 1) context.fail("the onesided inverse needs a complex input");
  const Dim parts_out = onesided && inverse ? 1 : 2;
  std::optional<int64_t> axis = -2;
  if (context.has_input(2)) {
    const auto given = context.ints(2);
    if (given && given->size() != 1) context.fail("axis must be one number");
    axis = given ? std::optional((*given)[0]) : std::nullopt;
  }
  if (!axis) {
    shape = unknown_shape(context, rank);
    shape[shape.size() - 1] = parts_out;
    return context.out(0, context.type(0), shape);
  }
  Dim& size = shape[static_cast<size_t>(dft_axis(context.node, *axis, rank))];
  SymbolTable& symbols = context.symbols;
  Dim n = size;
  if (context.has_input(1)) {
    n = size_input(context, 1).value_or(context.unknown());
  } else if (inverse && onesided) {
    n = symbols.mul(2, symbols.sub(size, 1));
  }
  if (!is_symbol(n)) check_points(context, "the length of the transform", n);
  size = onesided && !inverse ? symbols.add(symbols.div_floor(n, 2), 1) : n;
  shape[shape.size() - 1] = parts_out;
  context.out(0, context.type(0), shape);
}

// Completes the half [0, n/2] of the spectrum of a real signal.
void complete(Complex* data, int64_t n) {
  data[0].im = 0;
  if (n % 2 == 0) data[n / 2].im = 0;
  for (int64_t k = 1; 2 * k < n; ++k) data[n - k] = {data[k].re, -data[k].im};
}

struct Dft {
  bool inverse, onesided;
  int64_t outer, inner, src_size, dst_size, n, used, parts, parts_out;
};

Dft read_dft(const OpContext& context) {
  const bool inverse = flag(context.attributes(), "inverse", 0), onesided = flag(context.attributes(), "onesided", 0);
  const Shape &src_shape = context.shape(0), &dst_shape = context.out(0).shape;
  const int rank = src_shape.rank();
  const int axis = dft_axis(context.node, context.has_input(2) ? scalar_input(context, 2) : -2, rank);
  const int64_t src_size = src_shape[static_cast<size_t>(axis)], dst_size = dst_shape[static_cast<size_t>(axis)];
  const int64_t n = context.has_input(1)    ? scalar_input(context, 1)
                    : (inverse && onesided) ? 2 * (src_size - 1)
                                            : src_size;
  check_points(context, "the length of the transform", n);
  const int64_t parts = src_shape[static_cast<size_t>(rank - 1)];
  const int64_t parts_out = dst_shape[static_cast<size_t>(rank - 1)];
  if ((parts != 1 && parts != 2) || (onesided && parts != (inverse ? 2 : 1)))
    context.fail("the last dimension of the input is " + std::to_string(parts) + ": 1 is real, 2 complex; onesided " +
                 "transforms are from real numbers, or back to them");
  const int64_t outer = src_shape.count(0, axis), inner = src_shape.count(axis + 1, rank - 1);
  const int64_t used = std::min(src_size, inverse && onesided ? n / 2 + 1 : n);
  return {inverse, onesided, outer, inner, src_size, dst_size, n, used, parts, parts_out};
}

std::unique_ptr<Kernel> prepare_dft(const OpContext& context) {
  const auto [inverse, onesided, outer, inner, src_size, dst_size, n, used, parts, parts_out] = read_dft(context);
  auto fft = std::make_shared<const Fft>(n);
  const Lines lines(context, outer * inner, *fft);
  return with_real(context.type(0), [&]<class T>(std::type_identity<T>) {
    return make_kernel(
        [=](const KernelArgs& args) {
          const T* src = args.in<T>(0);
          T* dst = args.out<T>(0);
          const double scale = inverse ? 1 / static_cast<double>(n) : 1;
          lines.run(args, [&](int64_t line, Complex* data, Complex* work) {
            const T* from = src + (line / inner * src_size * inner + line % inner) * parts;
            for (int64_t k = 0; k < used; ++k, from += inner * parts)
              data[k] = {load(from[0]), parts == 2 ? load(from[1]) : 0};
            std::fill(data + used, data + n, Complex{});
            if (inverse && onesided) complete(data, n);
            // The inverse is the forward transform with real and imaginary parts exchanged on both sides.
            if (inverse)
              for (int64_t k = 0; k < n; ++k) std::swap(data[k].re, data[k].im);
            const Complex* result = fft->run(data, work);
            T* to = dst + (line / inner * dst_size * inner + line % inner) * parts_out;
            for (int64_t k = 0; k < dst_size; ++k, to += inner * parts_out) {
              const Complex c = inverse ? Complex{result[k].im, result[k].re} : result[k];
              to[0] = round_to<T>(c.re * scale);
              if (parts_out == 2) to[1] = round_to<T>(c.im * scale);
            }
          });
        },
        lines.bytes());
  });
}

// ---- STFT ----------------------------------------------------------------------------------------------------------

void infer_stft(InferContext& context) {
  const bool onesided = flag(context.attributes(), "onesided", 1);
  if (context.has_input(2) && context.type(2) != context.type(0))
    context.fail("the window must have the signal's type");
  if (context.has_shape(2) && context.shape(2).rank() != 1) context.fail("the window must have one dimension");
  if (!context.has_shape(0)) return context.out(0, context.type(0), unknown_shape(context, 4));
  const Shape& signal = context.shape(0);
  if (signal.rank() != 3)
    context.fail("the signal must be [batch, length, 1] or, where it is complex, [batch, length, 2], got " +
                 to_string(signal, context.symbols));
  if (is_known(signal[2]) && signal[2] != 1 && signal[2] != 2)
    context.fail("the signal's last dimension must be 1 (real) or 2 (complex), got " + std::to_string(signal[2]));
  if (onesided && signal[2] == 2) context.fail("a complex signal has no onesided transform: set onesided to 0");
  Dim length = signal[1];
  if (context.has_input(3))
    length = size_input(context, 3).value_or(context.unknown());
  else if (context.has_input(2))
    length = context.has_shape(2) ? context.shape(2)[0] : context.unknown();
  if (!is_symbol(length)) check_points(context, "the length of a frame", length);
  if (!is_symbol(length) && is_known(signal[1]) && length > signal[1])
    context.fail("a frame of " + std::to_string(length) + " is longer than the signal of " + std::to_string(signal[1]));
  const std::optional<Dim> step = size_input(context, 1);
  if (step && !is_symbol(*step) && *step < 1) context.fail("frame_step must be at least 1");
  SymbolTable& symbols = context.symbols;
  const Dim frames =
      step ? symbols.add(symbols.div_floor(symbols.sub(signal[1], length), *step), 1) : context.unknown();
  const Dim bins = onesided ? symbols.add(symbols.div_floor(length, 2), 1) : length;
  context.out(0, context.type(0), {signal[0], frames, bins, 2});
}

struct Stft {
  int64_t batch, size, parts, step, n, frames, bins;
  bool windowed;
};

Stft read_stft(const OpContext& context) {
  const Shape& signal = context.shape(0);
  const int64_t size = signal[1], parts = signal[2], step = scalar_input(context, 1);
  const bool windowed = context.has_input(2);
  const int64_t n = context.has_input(3) ? scalar_input(context, 3) : windowed ? context.shape(2).count() : size;
  check_points(context, "the length of a frame", n);
  if (step < 1) context.fail("frame_step must be at least 1");
  if (n > size)
    context.fail("a frame of " + std::to_string(n) + " is longer than the signal of " + std::to_string(size));
  if (windowed && context.shape(2).count() != n)
    context.fail("the window has " + std::to_string(context.shape(2).count()) + " elements for frames of " +
                 std::to_string(n));
  if ((parts != 1 && parts != 2) || (parts == 2 && flag(context.attributes(), "onesided", 1)))
    context.fail("the signal's last dimension must be 1, or 2 where onesided is 0, got " + std::to_string(parts));
  return {signal[0], size, parts, step, n, context.out(0).shape[1], context.out(0).shape[2], windowed};
}

std::unique_ptr<Kernel> prepare_stft(const OpContext& context) {
  const auto [batch, size, parts, step, n, frames, bins, windowed] = read_stft(context);
  auto fft = std::make_shared<const Fft>(n);
  const Lines lines(context, batch * frames, *fft);
  return with_real(context.type(0), [&]<class T>(std::type_identity<T>) {
    return make_kernel(
        [=](const KernelArgs& args) {
          const T *src = args.in<T>(0), *window = windowed ? args.in<T>(2) : nullptr;
          T* dst = args.out<T>(0);
          lines.run(args, [&](int64_t line, Complex* data, Complex* work) {
            const T* from = src + (line / frames * size + line % frames * step) * parts;
            for (int64_t k = 0; k < n; ++k, from += parts) {
              const double weight = window ? load(window[k]) : 1;
              data[k] = {weight * load(from[0]), parts == 2 ? weight * load(from[1]) : 0};
            }
            const Complex* result = fft->run(data, work);
            T* to = dst + line * bins * 2;
            for (int64_t k = 0; k < bins; ++k) {
              to[2 * k] = round_to<T>(result[k].re);
              to[2 * k + 1] = round_to<T>(result[k].im);
            }
          });
        },
        lines.bytes());
  });
}

// ---- MelWeightMatrix -----------------------------------------------------------------------------------------------

void infer_mel(InferContext& context) {
  const DataType type = type_attribute(context.node, "output_datatype", DataType::Float);
  if (!kNumericTypes.has(type)) context.fail("output_datatype " + std::string(name(type)) + " is not supported");
  const std::optional<Dim> bands = size_input(context, 0), n = size_input(context, 1);
  if (bands && !is_symbol(*bands)) check_points(context, "num_mel_bins", *bands);
  if (n && !is_symbol(*n)) check_points(context, "dft_length", *n);
  const Dim bins = n ? context.symbols.add(context.symbols.div_floor(*n, 2), 1) : context.unknown();
  context.out(0, type, {bins, bands ? *bands : context.unknown()});
}

template <class T>
void fill_mel(T* dst, int64_t bands, int64_t points, double rate, double low, double high) {
  const int64_t bins = points / 2 + 1;
  auto to_mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const double from = to_mel(low), step = (to_mel(high) - from) / static_cast<double>(bands + 2);
  // The bin of the spectrum at the edge number i of the triangles.
  auto edge = [&](int64_t i) {
    const double hertz = 700 * (std::pow(10.0, (from + static_cast<double>(i) * step) / 2595) - 1);
    const double bin = std::floor(static_cast<double>(points + 1) * hertz / rate);
    if (!(bin >= 0 && bin < static_cast<double>(bins)))
      invalid_argument("MelWeightMatrix: with the sample rate " + std::to_string(rate) + " the spectrum of " +
                       std::to_string(bins) + " bins does not hold the frequency " + std::to_string(hertz));
    return static_cast<int64_t>(bin);
  };
  std::fill_n(dst, bins * bands, T{});
  int64_t left = edge(0), center = edge(1);
  for (int64_t i = 0; i < bands; ++i) {
    const int64_t right = edge(i + 2);
    auto set = [&](int64_t bin, int64_t part, int64_t whole) {
      dst[bin * bands + i] = round_to<T>(static_cast<double>(part) / static_cast<double>(whole));
    };
    for (int64_t bin = left; bin < center; ++bin) set(bin, bin - left, center - left);
    set(center, 1, 1);
    for (int64_t bin = center + 1; bin < right; ++bin) set(bin, right - bin, right - center);
    left = center;
    center = right;
  }
}

template <class F>
decltype(auto) with_numeric(DataType type, F&& f) {
  switch (type) {
    case DataType::Int8:
      return f(std::type_identity<int8_t>{});
    case DataType::Int16:
      return f(std::type_identity<int16_t>{});
    case DataType::Int32:
      return f(std::type_identity<int32_t>{});
    case DataType::Int64:
      return f(std::type_identity<int64_t>{});
    case DataType::UInt8:
      return f(std::type_identity<uint8_t>{});
    case DataType::UInt16:
      return f(std::type_identity<uint16_t>{});
    case DataType::UInt32:
      return f(std::type_identity<uint32_t>{});
    case DataType::UInt64:
      return f(std::type_identity<uint64_t>{});
    default:
      return with_real(type, std::forward<F>(f));
  }
}

std::unique_ptr<Kernel> prepare_mel(const OpContext& context) {
  const int64_t bands = scalar_input(context, 0), points = scalar_input(context, 1);
  check_points(context, "num_mel_bins", bands);
  check_points(context, "dft_length", points);
  for (int i = 2; i < 5; ++i)
    if (context.shape(i).count() != 1) context.fail("input " + std::to_string(i) + " must hold one number");
  const DataType rate_type = context.type(2), low_type = context.type(3), high_type = context.type(4);
  if (!kFloatTypes.has(low_type) || !kFloatTypes.has(high_type))
    context.fail("the edges must be floating-point numbers");
  return with_numeric(context.out(0).type, [&]<class T>(std::type_identity<T>) {
    return make_kernel([=](const KernelArgs& args) {
      const double rate = static_cast<double>(number_at(rate_type, args.pointers[2], 0));
      auto hertz = [&](int i, DataType type) {
        return with_real(type, [&]<class H>(std::type_identity<H>) { return load(*args.in<H>(i)); });
      };
      if (!(rate > 0)) invalid_argument("MelWeightMatrix: sample_rate must be positive");
      fill_mel(args.out<T>(0), bands, points, rate, hertz(3, low_type), hertz(4, high_type));
    });
  });
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

// Sums of products that one transform may cost, and points whose turns are held as a table.
constexpr double kMostProducts = 1e11;
constexpr int64_t kMostGpuPoints = 1 << 16;

// Lines of a tensor, in items of one or two numbers: line i begins at i / per * outer + i % per * line.
struct Side {
  int64_t outer, line, step, parts;
};

struct Transform {
  int64_t lines, per, n, used, bins;
  Side src, dst;
  bool inverse = false, hermitian = false;
  int window = -1;
};

Refusal add_transform(const Transform& t, const GpuTraits& traits, GpuWork& work) {
  if (t.n > kMostGpuPoints) return "a transform of more than 65536 points";
  const int64_t count = t.lines * t.bins;
  const double products = static_cast<double>(count) * static_cast<double>(t.used);
  if (products > kMostProducts) return "transforms too long to be made of plain sums";
  std::vector<uint32_t> turns;
  turns.reserve(static_cast<size_t>(2 * t.n));
  for (int64_t i = 0; i < t.n; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(t.n);
    turns.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::cos(angle))));
    turns.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::sin(angle))));
  }
  const GpuOperand table = work.table(std::move(turns));
  GpuDispatch& dispatch = work.dispatch("dft");
  dispatch.constants = {t.inverse ? 1u : 0u, t.hermitian ? 1u : 0u, t.window >= 0 ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), table,
                       t.window >= 0 ? GpuWork::input(t.window) : GpuWork::none()};
  dispatch.push.u32(count).u32(t.bins).u32(t.n).u32(t.used).u32(t.per);
  for (const Side* side : {&t.src, &t.dst}) dispatch.push.u32(side->outer).u32(side->line).u32(side->step);
  dispatch.push.u32(t.src.parts).u32(t.dst.parts);
  dispatch.push.f32(t.inverse ? static_cast<float>(1 / static_cast<double>(t.n)) : 1.0f);
  dispatch.groups = groups_for(count, 64, traits);
  dispatch.flops = 4 * products;
  return std::nullopt;
}

Refusal gpu_dft(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Dft d = read_dft(context);
  Transform t{d.outer * d.inner,
              d.inner,
              d.n,
              d.used,
              d.dst_size,
              {d.src_size * d.inner, 1, d.inner, d.parts},
              {d.dst_size * d.inner, 1, d.inner, d.parts_out}};
  t.inverse = d.inverse;
  t.hermitian = d.inverse && d.onesided;
  return add_transform(t, traits, work);
}

Refusal gpu_stft(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Stft s = read_stft(context);
  Transform t{
      s.batch * s.frames, s.frames, s.n, s.n, s.bins, {s.size, s.step, 1, s.parts}, {s.frames * s.bins, s.bins, 1, 2}};
  if (s.windowed) {
    if (context.type(2) != context.type(0)) return "a window of another type than the signal";
    t.window = 2;
  }
  return add_transform(t, traits, work);
}

constexpr GpuRecipe kGpuDft{kFloat32, gpu_dft};
constexpr GpuRecipe kGpuStft{kFloat32, gpu_stft};

constexpr Candidate kDft[] = {{"mixed_radix", nullptr, prepare_dft}};
constexpr Candidate kStft[] = {{"mixed_radix", nullptr, prepare_stft}};
constexpr Candidate kMel[] = {{"reference", nullptr, prepare_mel}};
constexpr TypeMask kCounts{DataType::Int32, DataType::Int64};

constexpr OpDef kOps[] = {
    {"", "DFT", infer_dft, kDft, kFloatTypes, kNone, 0b110, &kGpuDft},
    {"", "STFT", infer_stft, kStft, kFloatTypes, kNone, 0b1010, &kGpuStft},
    {"", "MelWeightMatrix", infer_mel, kMel, kCounts, kNone, 0b11},
};

}  // namespace

std::span<const OpDef> signal_ops() { return kOps; }

}  // namespace fastort
