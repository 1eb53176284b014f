#include "providers/vulkan/segment.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "providers/vulkan/pipelines.h"
#include "providers/vulkan/values.h"

namespace fastort::vulkan {
namespace {

constexpr uint32_t kCopyGroup = 64;
constexpr size_t kCopyUnit = 16;  // bytes an invocation of copy.comp moves, and the most that a shader writes at once
// What a submission is cut to, and what it must not exceed.
constexpr double kAimSeconds = 0.4, kMaxSeconds = 1.0;

void copy_bytes(Device& device, const std::byte* src, std::byte* dst, size_t bytes, const Parallel& parallel) {
  device.memory().note_copy(bytes);
  parallel.range(static_cast<int64_t>(bytes), 1 << 18, [&](int64_t begin, int64_t end) {
    std::memcpy(dst + begin, src + begin, static_cast<size_t>(end - begin));
  });
}

void dispatch(const CompiledPlan& plan, VkCommandBuffer commands, uint64_t table, const CompiledPlan::Call& call,
              const CompiledPlan::Slice& slice, VkPipeline& bound) {
  const DeviceApi& vk = plan.device().api();
  if (bound != call.pipeline) {
    vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, call.pipeline);
    bound = call.pipeline;
  }
  std::array<std::byte, kPushBytes> push{};
  const PushHead head{table, call.first, 0};
  std::memcpy(push.data(), &head, sizeof(head));
  std::memcpy(push.data() + sizeof(head), call.push.data(), call.push.size() * sizeof(uint32_t));
  vk.vkCmdPushConstants(commands, plan.layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0, kPushBytes, push.data());
  std::array<uint32_t, 3> begin{}, groups = call.groups;
  begin[slice.axis] = slice.begin;
  groups[slice.axis] = slice.count;
  if (slice.begin == 0 && slice.count == call.groups[slice.axis])
    vk.vkCmdDispatch(commands, groups[0], groups[1], groups[2]);
  else
    vk.vkCmdDispatchBase(commands, begin[0], begin[1], begin[2], groups[0], groups[1], groups[2]);
}

}  // namespace

RunState::RunState(std::shared_ptr<const CompiledPlan> plan)
    : plan_(std::move(plan)),
      recorded_(plan_->segments().size()),
      bound_(plan_->tensors().size(), nullptr),
      lasting_(plan_->tensors().size(), nullptr),
      written_(plan_->tensors().size(), false),
      direct_(plan_->tensors().size(), false),
      addresses_(plan_->tensors().size(), 0) {
  Device& device = plan_->device();
  const size_t bytes = plan_->table_entries() * sizeof(uint64_t);
  table_ = device.memory().allocate(device.info().unified ? Use::Device : Use::Upload, bytes);
  std::memset(table_->host(), 0, sizeof(uint64_t));
}

RunState::~RunState() {
  Device& device = plan_->device();
  if (arena_) device.arenas().give(std::move(arena_));
  if (upload_) device.uploads().give(std::move(upload_));
  if (readback_) device.readbacks().give(std::move(readback_));
}

void RunState::bind(size_t segment, size_t operand, bool output, DeviceBuffer* buffer, const std::byte* lasting) {
  const auto& part = plan_->segments()[segment];
  const auto tensor = static_cast<size_t>((output ? part.downloads : part.uploads)[operand].tensor);
  bound_[tensor] = buffer;
  written_[tensor] = output;
  lasting_[tensor] = lasting;
}

void RunState::end() noexcept {
  imports_.clear();
  if (arena_) plan_->device().arenas().give(std::move(arena_));
}

std::shared_ptr<DeviceBuffer> RunState::allocate(size_t bytes) const {
  return ValueBuffer::make(plan_->shared_device(), bytes);
}

void RunState::measure(bool on) {
  on = (on || plan_->profile()) && plan_->device().info().has_timestamps;
  if (on == measured_) return;
  measured_ = on;
  for (Recorded& recorded : recorded_) recorded.parts.reset();
}

// Takes what memory the run needs, and finds where each tensor lies.
void RunState::prepare_memory() {
  Device& device = plan_->device();
  if (!arena_) arena_ = device.arenas().take(std::max<size_t>(plan_->arena_bytes(), 64));
  const auto& tensors = plan_->tensors();
  // Bound memory takes the arena's place, unless a shader could write over what another tensor has there.
  for (size_t i = 0; i < tensors.size(); ++i) {
    const DeviceBuffer* buffer = bound_[i];
    direct_[i] = buffer && buffer->address() % kCopyUnit == 0;
    if (direct_[i] && written_[i]) {
      direct_[i] = buffer->room() >= (tensors[i].bytes + kCopyUnit - 1) / kCopyUnit * kCopyUnit;
      for (size_t k = 0; k < tensors.size(); ++k) {
        if (k == i || !bound_[k]) continue;
        const uint64_t begin = bound_[k]->address(), end = begin + bound_[k]->bytes();
        if (begin < buffer->address() + buffer->bytes() && buffer->address() < end) direct_[i] = false;
      }
    }
    addresses_[i] = direct_[i] ? buffer->address() : arena_->address() + static_cast<uint64_t>(tensors[i].offset);
    if (buffer || !lasting_[i] || plan_->staged()) continue;
    auto import = HostImport::make(device, lasting_[i], tensors[i].bytes);
    if (!import) continue;
    direct_[i] = true;
    addresses_[i] = import->address();
    imports_.push_back(std::move(import));
  }
  size_t up = 0, down = 0;
  for (const auto& segment : plan_->segments()) {
    up = std::max(up, segment.upload_bytes);
    down = std::max(down, segment.download_bytes);
  }
  if (plan_->staged() && up && !upload_) upload_ = device.uploads().take(up);
  if (plan_->staged() && down && !readback_) readback_ = device.readbacks().take(down);
  // The staging is the state's own: only the tensors' addresses change.
  if (addresses_ != table_addresses_) write_table();
}

void RunState::write_table() {
  auto* entry = reinterpret_cast<uint64_t*>(table_->host()) + 1;
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
  table_addresses_ = addresses_;
}

// Records the copies of the tensors that are not bound, where these are others than before. Whether there are any.
bool RunState::record_copies(Recorded& recorded, size_t number, std::vector<int>& of,
                             const std::vector<CompiledPlan::Copy>& copies) {
  std::vector<int> tensors;
  for (const auto& copy : copies)
    if (copy.bytes && !bound_[static_cast<size_t>(copy.tensor)]) tensors.push_back(copy.tensor);
  if (tensors.empty() || tensors == of) return !tensors.empty();
  if (!recorded.copies) recorded.copies = std::make_unique<Commands>(plan_->device(), 2);
  recorded.copies->begin(number, true);
  const VkCommandBuffer commands = (*recorded.copies)[number];
  all_barrier(plan_->device().api(), commands);
  VkPipeline bound = VK_NULL_HANDLE;
  for (const auto& copy : copies) {
    const auto units = static_cast<int64_t>((copy.bytes + kCopyUnit - 1) / kCopyUnit);
    if (units == 0 || bound_[static_cast<size_t>(copy.tensor)]) continue;
    CompiledPlan::Call call;
    call.pipeline = plan_->copy();
    call.first = copy.first;
    call.push = GpuPush().u32(units).words();
    call.groups = groups_for(units, kCopyGroup, plan_->device().info().traits);
    dispatch(*plan_, commands, table_->address(), call, {0, 0, 0, call.groups[0]}, bound);
  }
  host_barrier(plan_->device().api(), commands);
  recorded.copies->end(number);
  of = std::move(tensors);
  return true;
}

void RunState::record_part(VkCommandBuffer commands, const CompiledPlan::Segment& segment,
                           std::span<const CompiledPlan::Slice> slices, Timestamps* stamps) {
  const DeviceApi& vk = plan_->device().api();
  all_barrier(vk, commands);
  if (stamps) stamps->note(commands, -1);
  Hazards hazards;
  std::vector<Hazards::Range> ranges;
  VkPipeline bound = VK_NULL_HANDLE;
  for (const auto& slice : slices) {
    const auto& call = segment.calls[slice.call];
    ranges.clear();
    for (const DeviceOperand& operand : call.operands) {
      if (operand.kind != DeviceOperand::Kind::Tensor) continue;
      const DeviceTensor& tensor = plan_->tensors()[static_cast<size_t>(operand.index)];
      const auto begin = static_cast<uint64_t>(tensor.offset);
      ranges.push_back({begin, begin + std::max<size_t>(tensor.bytes, 1), operand.written});
    }
    if (hazards.next(ranges)) shader_barrier(vk, commands);
    dispatch(*plan_, commands, table_->address(), call, slice, bound);
    if (stamps) stamps->note(commands, call.node);
  }
  host_barrier(vk, commands);
}

void RunState::record(size_t index) {
  const auto& segment = plan_->segments()[index];
  Recorded& recorded = recorded_[index];
  if (recorded.rate == 0) recorded.rate = plan_->device().rate();
  const auto parts = plan_->cut(segment, recorded.rate * kAimSeconds);
  recorded.parts = std::make_unique<Commands>(plan_->device(), static_cast<uint32_t>(parts.size()));
  recorded.work.assign(parts.size(), 0);
  size_t notes = parts.size();
  for (const auto& part : parts) notes += part.size();
  recorded.stamps = measured_ ? std::make_unique<Timestamps>(plan_->device(), static_cast<uint32_t>(notes)) : nullptr;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (const auto& slice : parts[i]) {
      const auto& call = segment.calls[slice.call];
      recorded.work[i] += call.work * slice.count / call.groups[slice.axis];
    }
    recorded.parts->begin(i, true);
    if (i == 0 && recorded.stamps) recorded.stamps->reset((*recorded.parts)[i]);
    record_part((*recorded.parts)[i], segment, parts[i], recorded.stamps.get());
    recorded.parts->end(i);
  }
}

void RunState::submit(size_t index, const Parallel& parallel) {
  using Clock = std::chrono::steady_clock;
  const auto& segment = plan_->segments()[index];
  Device& device = plan_->device();
  Recorded& recorded = recorded_[index];
  const bool staged = plan_->staged();
  const bool uploads = staged && record_copies(recorded, 0, recorded.uploads, segment.uploads);
  const bool downloads = staged && record_copies(recorded, 1, recorded.downloads, segment.downloads);
  const size_t parts = recorded.work.size();
  double longest = 0;
  for (size_t i = 0; i < parts; ++i) {
    VkCommandBuffer buffers[3];
    size_t count = 0;
    if (i == 0 && uploads) buffers[count++] = (*recorded.copies)[0];
    buffers[count++] = (*recorded.parts)[i];
    if (i + 1 == parts && downloads) buffers[count++] = (*recorded.copies)[1];
    const auto begin = Clock::now();
    device.run({buffers, count});
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    device.note_rate(recorded.work[i], seconds);
    longest = std::max(longest, seconds);
    if (i + 1 < parts && parallel.cancelled())
      fail(ErrorCode::Cancelled, "the run was cancelled (terminate, time-out or Ctrl-C)");
  }
  times_.clear();
  if (recorded.stamps)
    for (const auto& stretch : recorded.stamps->read())
      times_.push_back({stretch.node, stretch.begin_ns, stretch.end_ns - stretch.begin_ns});
  // The guess was far off, or others use the device: cut anew for the next run.
  if (longest > kMaxSeconds || (parts > 1 && longest < kAimSeconds / 4)) {
    recorded.rate *= kAimSeconds / std::max(longest, kAimSeconds / 100);
    recorded.parts.reset();
  }
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

std::byte* RunState::host(const CompiledPlan::Copy& copy, const std::shared_ptr<Memory>& staging) const {
  if (plan_->staged()) return staging->host() + copy.staged;
  return arena_->host() + plan_->tensors()[static_cast<size_t>(copy.tensor)].offset;
}

void RunState::run(size_t index, const KernelArgs& args) {
  const auto& segment = plan_->segments()[index];
  Device& device = plan_->device();
  if (index == 0) prepare_memory();
  if (!recorded_[index].parts) record(index);
  for (size_t i = 0; i < segment.uploads.size(); ++i) {
    const auto& copy = segment.uploads[i];
    if (copy.bytes == 0 || direct(copy.tensor)) continue;
    if (DeviceBuffer* buffer = bound_[static_cast<size_t>(copy.tensor)]) {
      const auto offset = static_cast<size_t>(plan_->tensors()[static_cast<size_t>(copy.tensor)].offset);
      static_cast<ValueBuffer*>(buffer)->copy_into(*arena_, offset);
    } else {
      copy_bytes(device, args.in<std::byte>(static_cast<int>(i)), host(copy, upload_), copy.bytes, args.parallel);
    }
  }
  submit(index, args.parallel);
  check_report();
  for (size_t i = 0; i < segment.downloads.size(); ++i) {
    const auto& copy = segment.downloads[i];
    if (copy.bytes == 0 || direct(copy.tensor)) continue;
    if (DeviceBuffer* buffer = bound_[static_cast<size_t>(copy.tensor)]) {
      const auto offset = static_cast<size_t>(plan_->tensors()[static_cast<size_t>(copy.tensor)].offset);
      static_cast<ValueBuffer*>(buffer)->copy_from(*arena_, offset);
    } else {
      copy_bytes(device, host(copy, readback_), args.out<std::byte>(static_cast<int>(i)), copy.bytes, args.parallel);
    }
  }
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
