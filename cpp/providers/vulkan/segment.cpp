#include "providers/vulkan/segment.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "providers/vulkan/pipelines.h"
#include "providers/vulkan/weights.h"
#include "tensor/buffer.h"

namespace fastort::vulkan {
namespace {

constexpr uint32_t kCopyGroup = 64;
constexpr size_t kCopyUnit = 16;  // bytes an invocation of copy.comp moves

void copy_bytes(const std::byte* src, std::byte* dst, size_t bytes, const Parallel& parallel) {
  parallel.range(static_cast<int64_t>(bytes), 1 << 18, [&](int64_t begin, int64_t end) {
    std::memcpy(dst + begin, src + begin, static_cast<size_t>(end - begin));
  });
}

}  // namespace

CompiledPlan::CompiledPlan(std::shared_ptr<Device> device, DevicePlan plan, bool always_stage)
    : device_(std::move(device)),
      tensors_(std::move(plan.tensors)),
      arena_bytes_(plan.arena_bytes),
      labels_(std::move(plan.labels)) {
  staged_ = always_stage || !device_->info().unified;
  Pipelines& pipelines = device_->pipelines();
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
      made.pipeline = pipelines.get(call.shader, call.constants);
      made.first = entries_;
      made.node = call.node;
      made.operands = std::move(call.operands);
      made.push = call.push.words();
      made.groups = call.groups;
      entries_ += static_cast<uint32_t>(made.operands.size());
    }
    copies(from.downloads, segment.downloads, segment.download_bytes);
  }
  pipelines.save();
}

std::string CompiledPlan::label_of(uint32_t first) const {
  for (const Segment& segment : segments_)
    for (const Call& call : segment.calls)
      if (call.first == first) return labels_.at(call.node);
  return "a node";
}

RunState::RunState(std::shared_ptr<const CompiledPlan> plan)
    : plan_(std::move(plan)),
      commands_(plan_->device(), static_cast<uint32_t>(plan_->segments().size())),
      recorded_(plan_->segments().size(), false) {
  Device& device = plan_->device();
  const size_t bytes = plan_->table_entries() * sizeof(uint64_t);
  table_ = device.memory().allocate(device.info().unified ? Use::Device : Use::Upload, bytes);
  size_t up = 0, down = 0;
  for (const auto& segment : plan_->segments()) {
    up = std::max(up, segment.upload_bytes);
    down = std::max(down, segment.download_bytes);
  }
  if (!plan_->staged()) return;
  if (up) upload_ = device.uploads().take(up);
  if (down) readback_ = device.readbacks().take(down);
}

RunState::~RunState() {
  Device& device = plan_->device();
  if (arena_) device.arenas().give(std::move(arena_));
  if (upload_) device.uploads().give(std::move(upload_));
  if (readback_) device.readbacks().give(std::move(readback_));
}

uint64_t RunState::tensor_address(int tensor) const {
  return arena_->address() + static_cast<uint64_t>(plan_->tensors()[static_cast<size_t>(tensor)].offset);
}

void RunState::bind_arena() {
  if (arena_) return;
  arena_ = plan_->device().arenas().take(std::max<size_t>(plan_->arena_bytes(), 64));
  write_table();
}

void RunState::write_table() {
  auto* entry = reinterpret_cast<uint64_t*>(table_->host());
  *entry++ = 0;
  for (const auto& segment : plan_->segments()) {
    if (plan_->staged()) {
      for (const auto& copy : segment.uploads) {
        *entry++ = upload_->address() + copy.staged;
        *entry++ = tensor_address(copy.tensor);
      }
    }
    for (const auto& call : segment.calls) {
      for (const DeviceOperand& operand : call.operands) {
        uint64_t address = 0;
        if (operand.kind == DeviceOperand::Kind::Tensor) address = tensor_address(operand.index);
        if (operand.kind == DeviceOperand::Kind::Constant) address = plan_->constant(operand.index).address();
        *entry++ = address;
      }
    }
    if (plan_->staged()) {
      for (const auto& copy : segment.downloads) {
        *entry++ = tensor_address(copy.tensor);
        *entry++ = readback_->address() + copy.staged;
      }
    }
  }
}

namespace {

void dispatch(const CompiledPlan& plan, VkCommandBuffer commands, uint64_t table, const CompiledPlan::Call& call,
              VkPipeline& bound) {
  const DeviceApi& vk = plan.device().api();
  if (bound != call.pipeline) {
    vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, call.pipeline);
    bound = call.pipeline;
  }
  std::array<std::byte, kPushBytes> push{};
  const PushHead head{table, call.first, 0};
  std::memcpy(push.data(), &head, sizeof(head));
  std::memcpy(push.data() + sizeof(head), call.push.data(), call.push.size() * sizeof(uint32_t));
  vk.vkCmdPushConstants(commands, plan.device().pipelines().layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0, kPushBytes,
                        push.data());
  vk.vkCmdDispatch(commands, call.groups[0], call.groups[1], call.groups[2]);
}

}  // namespace

void RunState::record_copies(VkCommandBuffer commands, const std::vector<CompiledPlan::Copy>& copies) {
  VkPipeline bound = VK_NULL_HANDLE;
  for (const auto& copy : copies) {
    const auto units = static_cast<int64_t>((copy.bytes + kCopyUnit - 1) / kCopyUnit);
    if (units == 0) continue;
    CompiledPlan::Call call;
    call.pipeline = plan_->copy();
    call.first = copy.first;
    call.push = GpuPush().u32(units).words();
    call.groups = groups_for(units, kCopyGroup, plan_->device().info().traits);
    dispatch(*plan_, commands, table_->address(), call, bound);
  }
}

void RunState::record(size_t index) {
  const auto& segment = plan_->segments()[index];
  const DeviceApi& vk = plan_->device().api();
  const bool staged = plan_->staged();
  commands_.begin(index, true);
  const VkCommandBuffer commands = commands_[index];
  if (staged && !segment.uploads.empty()) {
    record_copies(commands, segment.uploads);
    shader_barrier(vk, commands);
  }
  Hazards hazards;
  std::vector<Hazards::Range> ranges;
  VkPipeline bound = VK_NULL_HANDLE;
  for (const auto& call : segment.calls) {
    ranges.clear();
    for (const DeviceOperand& operand : call.operands) {
      if (operand.kind != DeviceOperand::Kind::Tensor) continue;
      const DeviceTensor& tensor = plan_->tensors()[static_cast<size_t>(operand.index)];
      const auto begin = static_cast<uint64_t>(tensor.offset);
      ranges.push_back({begin, begin + std::max<size_t>(tensor.bytes, 1), operand.written});
    }
    if (hazards.next(ranges)) shader_barrier(vk, commands);
    dispatch(*plan_, commands, table_->address(), call, bound);
  }
  if (staged && !segment.downloads.empty()) {
    shader_barrier(vk, commands);
    record_copies(commands, segment.downloads);
  }
  host_barrier(vk, commands);
  commands_.end(index);
}

void RunState::check_report() const {
  uint32_t report[2];
  std::memcpy(report, table_->host(), sizeof(report));
  if (report[1] == 0) return;
  std::memset(table_->host(), 0, sizeof(report));
  fail(ErrorCode::InvalidArgument, plan_->label_of(report[0]) +
                                       ": an index out of range among its data (found on the GPU, which does not say "
                                       "which one; the CPU does)");
}

void RunState::run(size_t index, const KernelArgs& args) {
  const auto& segment = plan_->segments()[index];
  bind_arena();
  if (!recorded_[index]) {
    record(index);
    recorded_[index] = true;
  }
  auto host = [&](const CompiledPlan::Copy& copy, const std::shared_ptr<Memory>& staging) {
    if (plan_->staged()) return staging->host() + copy.staged;
    return arena_->host() + plan_->tensors()[static_cast<size_t>(copy.tensor)].offset;
  };
  for (size_t i = 0; i < segment.uploads.size(); ++i) {
    const auto& copy = segment.uploads[i];
    if (copy.bytes) copy_bytes(args.in<std::byte>(static_cast<int>(i)), host(copy, upload_), copy.bytes, args.parallel);
  }
  plan_->device().run(commands_[index]);
  check_report();
  for (size_t i = 0; i < segment.downloads.size(); ++i) {
    const auto& copy = segment.downloads[i];
    if (copy.bytes)
      copy_bytes(host(copy, readback_), args.out<std::byte>(static_cast<int>(i)), copy.bytes, args.parallel);
  }
  if (index + 1 == plan_->segments().size()) plan_->device().arenas().give(std::move(arena_));
}

namespace {

class SegmentKernel final : public Kernel {
 public:
  SegmentKernel(std::shared_ptr<const CompiledPlan> plan, size_t index) : plan_(std::move(plan)), index_(index) {}
  void run(const KernelArgs& args) const override { static_cast<RunState*>(args.state)->run(index_, args); }
  std::unique_ptr<KernelState> make_state() const override { return std::make_unique<RunState>(plan_); }

 private:
  std::shared_ptr<const CompiledPlan> plan_;
  size_t index_;
};

}  // namespace

std::vector<std::unique_ptr<Kernel>> segment_kernels(std::shared_ptr<const CompiledPlan> plan) {
  std::vector<std::unique_ptr<Kernel>> kernels;
  for (size_t i = 0; i < plan->segments().size(); ++i) kernels.push_back(std::make_unique<SegmentKernel>(plan, i));
  return kernels;
}

}  // namespace fastort::vulkan
