#include "providers/vulkan/compiled_plan.h"

#include <algorithm>
#include <cmath>

#include "providers/vulkan/pipelines.h"
#include "providers/vulkan/shaders.h"
#include "providers/vulkan/weights.h"
#include "tensor/buffer.h"

namespace fastort::vulkan {
namespace {

// What an access to memory, and an invocation, count for beside a multiplication.
constexpr double kWorkPerByte = 4;
constexpr double kWorkPerGroup = 1024;

// A shader for float16 tensors that may also multiply in float16, where there is such a form.
std::string form_of(const std::string& shader, const Options& options) {
  if (options.half != Half::Arithmetic || !shader.ends_with(".f16")) return shader;
  const std::string other = shader + "a";
  const auto table = shaders();
  return std::any_of(table.begin(), table.end(), [&](const Shader& s) { return s.name == other; }) ? other : shader;
}

}  // namespace

CompiledPlan::CompiledPlan(std::shared_ptr<Device> device, DevicePlan plan, const Options& options)
    : device_(std::move(device)),
      tensors_(std::move(plan.tensors)),
      arena_bytes_(plan.arena_bytes),
      labels_(std::move(plan.labels)) {
  profile_ = options.profile;
  staged_ = options.always_stage || !device_->info().unified;
  Pipelines& pipelines = device_->pipelines(options.cache_dir);
  layout_ = pipelines.layout();
  if (staged_) copy_ = pipelines.get("copy", {});
  for (const DeviceConstant& constant : plan.constants) constants_.push_back(device_->weights().get(constant));
  auto copies = [&](const std::vector<int>& tensors, std::vector<Copy>& into, size_t& bytes) {
    for (const int tensor : tensors) {
      const size_t size = tensors_[static_cast<size_t>(tensor)].bytes;
      into.push_back({tensor, bytes, size, entries_});
      bytes += align_up(size);
      entries_ += staged_ ? 2 : 0;
    }
  };
  for (DeviceSegment& from : plan.segments) {
    Segment& segment = segments_.emplace_back();
    copies(from.uploads, segment.uploads, segment.upload_bytes);
    for (DeviceCall& call : from.calls) {
      Call& made = segment.calls.emplace_back();
      made.pipeline = pipelines.get(form_of(call.shader, options), call.constants);
      made.first = entries_;
      made.node = call.node;
      made.work = work_of(call);
      made.operands = std::move(call.operands);
      made.push = call.push.words();
      made.groups = call.groups;
      entries_ += static_cast<uint32_t>(made.operands.size());
    }
    copies(from.downloads, segment.downloads, segment.download_bytes);
  }
}

double CompiledPlan::work_of(const DeviceCall& call) const {
  double bytes = 0;
  for (const DeviceOperand& operand : call.operands) {
    if (operand.kind == DeviceOperand::Kind::Tensor)
      bytes += static_cast<double>(tensors_[static_cast<size_t>(operand.index)].bytes);
  }
  const double groups = static_cast<double>(call.groups[0]) * call.groups[1] * call.groups[2];
  return call.flops + kWorkPerByte * bytes + kWorkPerGroup * groups;
}

std::string CompiledPlan::label_of(uint32_t first) const {
  for (const Segment& segment : segments_)
    for (const Call& call : segment.calls)
      if (call.first == first) return labels_.at(call.node);
  return "a node";
}

std::vector<std::vector<CompiledPlan::Slice>> CompiledPlan::cut(const Segment& segment, double work) const {
  std::vector<std::vector<Slice>> parts(1);
  double room = work;
  auto next_part = [&] {
    if (!parts.back().empty()) parts.emplace_back();
    room = work;
  };
  for (size_t i = 0; i < segment.calls.size(); ++i) {
    const Call& call = segment.calls[i];
    // Never along x where there are rows of groups: shaders number groups by how many lie along it.
    const size_t axis = call.groups[2] > 1 ? 2 : call.groups[1] > 1 ? 1 : 0;
    const uint32_t groups = call.groups[axis];
    const auto pieces = static_cast<uint32_t>(std::clamp(std::ceil(call.work / work), 1.0, double(groups)));
    if (pieces == 1) {
      if (call.work > room) next_part();
      parts.back().push_back({i, axis, 0, groups});
      room -= call.work;
      continue;
    }
    for (uint32_t piece = 0; piece < pieces; ++piece) {
      const auto begin = static_cast<uint32_t>(uint64_t{groups} * piece / pieces);
      const auto end = static_cast<uint32_t>(uint64_t{groups} * (piece + 1) / pieces);
      next_part();
      parts.back().push_back({i, axis, begin, end - begin});
    }
    room = 0;
  }
  return parts;
}

}  // namespace fastort::vulkan
