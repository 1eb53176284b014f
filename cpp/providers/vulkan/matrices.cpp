#include "providers/vulkan/matrices.h"

#include <algorithm>

namespace fastort::vulkan {
namespace {

// Shapes whose factors are float16 and whose sums are float32, for subgroups; the largest first.
std::vector<GpuMatrices> shapes_of(const InstanceApi& api, VkPhysicalDevice device) {
  uint32_t count = 0;
  api.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR(device, &count, nullptr);
  std::vector<VkCooperativeMatrixPropertiesKHR> rows(count, {VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR});
  api.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR(device, &count, rows.data());
  std::vector<GpuMatrices> shapes;
  for (const auto& row : rows) {
    const bool half = row.AType == VK_COMPONENT_TYPE_FLOAT16_KHR && row.BType == VK_COMPONENT_TYPE_FLOAT16_KHR;
    const bool single = row.CType == VK_COMPONENT_TYPE_FLOAT32_KHR && row.ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR;
    // Shaders fetch 8 numbers at a time.
    const bool even = row.MSize % 8 == 0 && row.NSize % 8 == 0 && row.KSize % 8 == 0;
    if (half && single && even && row.scope == VK_SCOPE_SUBGROUP_KHR && !row.saturatingAccumulation)
      shapes.push_back({row.MSize, row.NSize, row.KSize});
  }
  auto size = [](const GpuMatrices& shape) { return shape.m * shape.n * shape.k; };
  std::stable_sort(shapes.begin(), shapes.end(), [&](const auto& a, const auto& b) { return size(a) > size(b); });
  return shapes;
}

template <typename Properties>
Properties ask(const InstanceApi& api, VkPhysicalDevice device, VkStructureType type) {
  Properties properties{};
  properties.sType = type;
  VkPhysicalDeviceProperties2 all{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &properties};
  api.vkGetPhysicalDeviceProperties2(device, &all);
  return properties;
}

}  // namespace

void describe_matrices(const InstanceApi& api, const std::function<bool(std::string_view)>& has, DeviceInfo& info) {
  if (has(VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME))
    info.traits.cores = ask<VkPhysicalDeviceShaderSMBuiltinsPropertiesNV>(
                            api, info.handle, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV)
                            .shaderSMCount;
  if (has(VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME)) {
    const auto amd = ask<VkPhysicalDeviceShaderCorePropertiesAMD>(
        api, info.handle, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD);
    info.traits.cores = amd.shaderEngineCount * amd.shaderArraysPerEngineCount * amd.computeUnitsPerShaderArray;
  }
  if (has(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT features{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
    VkPhysicalDeviceFeatures2 all{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features};
    api.vkGetPhysicalDeviceFeatures2(info.handle, &all);
    const auto widths = ask<VkPhysicalDeviceSubgroupSizeControlPropertiesEXT>(
        api, info.handle, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT);
    info.holds_subgroup_width = features.subgroupSizeControl && features.computeFullSubgroups &&
                                (widths.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  }
  if (!has(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) || !api.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR) return;
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
  VkPhysicalDeviceVulkan12Features features12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &matrices};
  VkPhysicalDeviceFeatures2 all{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features12};
  api.vkGetPhysicalDeviceFeatures2(info.handle, &all);
  const auto stages = ask<VkPhysicalDeviceCooperativeMatrixPropertiesKHR>(
      api, info.handle, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR);
  if (!matrices.cooperativeMatrix || !features12.vulkanMemoryModel || !features12.shaderFloat16 ||
      !info.traits.storage16 || !(stages.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT))
    return;
  info.traits.matrices = shapes_of(api, info.handle);
  if (!has(VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME) || !info.has_vulkan13) return;
  VkPhysicalDeviceCooperativeMatrix2FeaturesNV second{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV};
  // SPIR-V 1.6 has sizes of work groups that are specialization constants only with it.
  VkPhysicalDeviceMaintenance4Features maintenance{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES, &second};
  VkPhysicalDeviceFeatures2 more{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &maintenance};
  api.vkGetPhysicalDeviceFeatures2(info.handle, &more);
  info.traits.matrix_elements =
      !info.traits.matrices.empty() && second.cooperativeMatrixPerElementOperations && maintenance.maintenance4;
}

MatrixFeatures::MatrixFeatures(const DeviceInfo& info, std::vector<const char*>& extensions)
    : matrices_(!info.traits.matrices.empty()),
      widths_(info.holds_subgroup_width),
      elements_(info.traits.matrix_elements) {
  if (matrices_) extensions.push_back(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
  if (elements_) extensions.push_back(VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME);
  if (widths_) extensions.push_back(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
}

void* MatrixFeatures::before(void* next) {
  if (matrices_) {
    matrix_.cooperativeMatrix = VK_TRUE;
    matrix_.pNext = next;
    next = &matrix_;
  }
  if (elements_) {
    element_.cooperativeMatrixPerElementOperations = VK_TRUE;
    element_.pNext = next;
    maintenance_.maintenance4 = VK_TRUE;
    maintenance_.pNext = &element_;
    next = &maintenance_;
  }
  if (widths_) {
    width_.subgroupSizeControl = VK_TRUE;
    width_.computeFullSubgroups = VK_TRUE;
    width_.pNext = next;
    next = &width_;
  }
  return next;
}

bool uses_matrices(std::span<const uint32_t> code) {
  constexpr uint32_t kHeader = 5, kOpCapability = 17, kCooperativeMatrix = 6022;
  // A module begins with its capabilities.
  for (size_t at = kHeader; at + 1 < code.size() && (code[at] & 0xffff) == kOpCapability; at += code[at] >> 16)
    if (code[at + 1] == kCooperativeMatrix) return true;
  return false;
}

}  // namespace fastort::vulkan
