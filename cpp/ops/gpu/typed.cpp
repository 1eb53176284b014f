#include "ops/gpu/typed.h"

#include <mutex>
#include <set>

#include "ops/gpu/select.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;

Refusal refuse_narrow(size_t bytes, const GpuTraits& traits) {
  if (bytes == 1 && !traits.storage8) return "single bytes, which the device's shaders cannot store";
  if (bytes == 2 && !traits.storage16) return "16-bit elements, which the device's shaders cannot store";
  return std::nullopt;
}

// Whether functions of two operands end here.
bool is_unary(Arith function) { return function >= Arith::Abs; }

bool takes_double(Arith function) {
  return function <= Arith::Min || function == Arith::PRelu || (is_unary(function) && function != Arith::Invert);
}
bool takes_integers(Arith function) { return function <= Arith::Relu || function == Arith::Copy; }

// One function whose result is output 0.
void add_step(const OpContext& context, const GpuTraits& traits, GpuWork& work, std::string_view shader, Arith function,
              std::span<const Shape> shapes, std::vector<GpuOperand> operands) {
  const int64_t count = context.out(0).shape.count();
  const Strided strided = strided_operands(context.out(0).shape, shapes);
  const GpuOperand ends[] = {GpuWork::output(0), work.table(strided.table)};
  operands.insert(operands.begin(), std::begin(ends), std::end(ends));
  operands.resize(4);
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {strided.rank, strided.modes, static_cast<uint32_t>(function)};
  dispatch.operands = std::move(operands);
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, kGroup, traits);
}

constexpr GpuOperand kSoFar{GpuOperand::Kind::Output, 0, false};

}  // namespace

std::string_view shader_name(std::string_view shader, std::string_view variant) {
  static std::mutex mutex;
  static std::set<std::string> names;
  std::lock_guard lock(mutex);
  return *names.insert(std::string(shader) + "." + std::string(variant)).first;
}

Refusal choose_by_bytes(std::string_view shader, size_t bytes, const GpuTraits& traits, std::string_view& name) {
  if (Refusal refusal = refuse_narrow(bytes, traits)) return refusal;
  if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8 && bytes != 16)
    return "elements of " + std::to_string(bytes) + " bytes";
  name = shader_name(shader, std::to_string(bytes));
  return std::nullopt;
}

Refusal choose_by_width(std::string_view shader, size_t bytes, const GpuTraits& traits, std::string_view& name) {
  if (Refusal refusal = refuse_narrow(bytes, traits)) return refusal;
  const char* variant = bytes == 1 ? "u8" : bytes == 2 ? "u16" : bytes == 4 ? "u32" : bytes == 8 ? "pair" : "quad";
  if (bytes > 8 && bytes != 16) return "elements of " + std::to_string(bytes) + " bytes";
  name = shader_name(shader, variant);
  return std::nullopt;
}

Refusal choose_by_type(std::string_view shader, DataType type, const GpuTraits& traits, std::string_view& name) {
  if (Refusal refusal = refuse_narrow(element_size(type), traits)) return refusal;
  if ((type == DataType::Int64 || type == DataType::UInt64) && !traits.int64)
    return "64-bit integers, which the device's shaders cannot compute with";
  if (type == DataType::Double && !traits.float64) return "double, which the device's shaders cannot compute with";
  const char* variant = nullptr;
  switch (type) {
    case DataType::Int8:
      variant = "i8";
      break;
    case DataType::UInt8:
    case DataType::Bool:
      variant = "u8";
      break;
    case DataType::Int16:
      variant = "i16";
      break;
    case DataType::UInt16:
      variant = "u16";
      break;
    case DataType::Int32:
      variant = "i32";
      break;
    case DataType::UInt32:
      variant = "u32";
      break;
    case DataType::Int64:
      variant = "i64";
      break;
    case DataType::UInt64:
      variant = "u64";
      break;
    case DataType::Float:
      variant = "f32";
      break;
    case DataType::Double:
      variant = "f64";
      break;
    default:
      return "no shader for " + std::string(fastort::name(type));
  }
  name = shader_name(shader, variant);
  return std::nullopt;
}

Refusal add_arith(const OpContext& context, const GpuTraits& traits, GpuWork& work, Arith function) {
  const DataType type = context.type(0);
  if (type == DataType::Double ? !takes_double(function) : !takes_integers(function))
    return "no shader for " + std::string(name(type));
  std::string_view shader;
  if (Refusal refusal = choose_by_type("arith", type, traits, shader)) return refusal;
  const int inputs = is_unary(function) ? 1 : context.num_inputs();
  for (int i = 0; i < inputs; ++i) {
    if (!context.has_input(i)) return "an input is left out";
    if (context.type(i) != type) return "inputs of different types";
    if (context.shape(i).rank() > context.out(0).shape.rank()) return "an operand has a higher rank than the output";
  }
  if (inputs == 1) {
    const Shape shapes[] = {context.shape(0)};
    add_step(context, traits, work, shader, is_unary(function) ? function : Arith::Copy, shapes, {GpuWork::input(0)});
    return std::nullopt;
  }
  for (int i = 1; i < inputs; ++i) {
    const Shape shapes[] = {i == 1 ? context.shape(0) : context.out(0).shape, context.shape(i)};
    add_step(context, traits, work, shader, function, shapes, {i == 1 ? GpuWork::input(0) : kSoFar, GpuWork::input(i)});
  }
  return std::nullopt;
}

Refusal add_integer_clip(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  std::string_view shader;
  if (Refusal refusal = choose_by_type("arith", context.type(0), traits, shader)) return refusal;
  GpuOperand source = GpuWork::input(0);
  for (int i = 1; i < 3; ++i) {
    if (!context.has_input(i)) continue;
    const Shape shapes[] = {context.shape(0), context.shape(i)};
    add_step(context, traits, work, shader, i == 1 ? Arith::Max : Arith::Min, shapes, {source, GpuWork::input(i)});
    source = kSoFar;
  }
  if (!work.dispatches.empty()) return std::nullopt;
  const Shape shapes[] = {context.shape(0)};
  add_step(context, traits, work, shader, Arith::Copy, shapes, {source});
  return std::nullopt;
}

}  // namespace fastort::gpu
