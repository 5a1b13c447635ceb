// A Vulkan layer for compiling kernels on a machine without the GPU that they are for (npm run check:gpu).
// The driver below it is the GPU's own, on a device that is not there: shaders are compiled for real, memory
// comes from the system, commands are dropped, fences are signalled. For every executable of a compute
// pipeline it appends a line of JSON to the file $NULL_GPU_OUT: the compiler's statistics, and with
// $NULL_GPU_ASSEMBLY also the disassembly.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

// The driver's own functions. A process opens one instance of Vulkan, and its devices share a driver.
static PFN_vkGetInstanceProcAddr below_instance;
static PFN_vkGetDeviceProcAddr below_device;
static VkInstance instance_in_use;
static pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;
#define BELOW(device, name) ((PFN_##name)below_device(device, #name))

static int wants_assembly(void) {
  const char *value = getenv("NULL_GPU_ASSEMBLY");
  return value && *value;
}

// ---- What the compiler says of a pipeline.

static void put_string(FILE *file, const char *text) {
  fputc('"', file);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fprintf(file, "\\%c", *text);
    else if (*text == '\n') fputs("\\n", file);
    else if (*text == '\t') fputs("\\t", file);
    else if ((unsigned char)*text >= 32) fputc(*text, file);
  }
  fputc('"', file);
}

static void put_statistic(FILE *file, const VkPipelineExecutableStatisticKHR *statistic) {
  put_string(file, statistic->name);
  fputc(':', file);
  switch (statistic->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
      fprintf(file, "%u", statistic->value.b32);
      break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
      fprintf(file, "%lld", (long long)statistic->value.i64);
      break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
      fprintf(file, "%.17g", statistic->value.f64);
      break;
    default:
      fprintf(file, "%llu", (unsigned long long)statistic->value.u64);
  }
}

static void put_statistics(FILE *file, VkDevice device, const VkPipelineExecutableInfoKHR *executable) {
  uint32_t count = 0;
  BELOW(device, vkGetPipelineExecutableStatisticsKHR)(device, executable, &count, NULL);
  VkPipelineExecutableStatisticKHR *list = calloc(count, sizeof *list);
  for (uint32_t i = 0; i < count; i++) list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  BELOW(device, vkGetPipelineExecutableStatisticsKHR)(device, executable, &count, list);
  fputs(",\"statistics\":{", file);
  for (uint32_t i = 0; i < count; i++) {
    if (i) fputc(',', file);
    put_statistic(file, &list[i]);
  }
  fputc('}', file);
  free(list);
}

static void put_assembly(FILE *file, VkDevice device, const VkPipelineExecutableInfoKHR *executable) {
  uint32_t count = 0;
  BELOW(device, vkGetPipelineExecutableInternalRepresentationsKHR)(device, executable, &count, NULL);
  VkPipelineExecutableInternalRepresentationKHR *list = calloc(count, sizeof *list);
  for (uint32_t i = 0; i < count; i++)
    list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
  // The first call tells the sizes.
  BELOW(device, vkGetPipelineExecutableInternalRepresentationsKHR)(device, executable, &count, list);
  for (uint32_t i = 0; i < count; i++) list[i].pData = calloc(1, list[i].dataSize + 1);
  BELOW(device, vkGetPipelineExecutableInternalRepresentationsKHR)(device, executable, &count, list);
  for (uint32_t i = 0; i < count; i++) {
    // Intel's is called GEN Assembly, NVIDIA's NAK assembly.
    if (list[i].isText && strstr(list[i].name, "ssembly")) {
      fputs(",\"assembly\":", file);
      put_string(file, list[i].pData);
    }
    free(list[i].pData);
  }
  free(list);
}

static void record(VkDevice device, VkPipeline pipeline) {
  const char *path = getenv("NULL_GPU_OUT");
  if (!path || !*path) return;
  VkPipelineInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, pipeline};
  uint32_t count = 0;
  BELOW(device, vkGetPipelineExecutablePropertiesKHR)(device, &info, &count, NULL);
  VkPipelineExecutablePropertiesKHR *list = calloc(count, sizeof *list);
  for (uint32_t i = 0; i < count; i++) list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
  BELOW(device, vkGetPipelineExecutablePropertiesKHR)(device, &info, &count, list);
  pthread_mutex_lock(&record_lock);
  FILE *file = fopen(path, "a");
  for (uint32_t i = 0; file && i < count; i++) {
    VkPipelineExecutableInfoKHR executable = {
        VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, NULL, pipeline, i};
    fputs("{\"name\":", file);
    put_string(file, list[i].name);
    fprintf(file, ",\"subgroup\":%u", list[i].subgroupSize);
    put_statistics(file, device, &executable);
    if (wants_assembly()) put_assembly(file, device, &executable);
    fputs("}\n", file);
  }
  if (file) fclose(file);
  pthread_mutex_unlock(&record_lock);
  free(list);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_compute_pipelines(VkDevice device, VkPipelineCache cache,
    uint32_t count, const VkComputePipelineCreateInfo *infos, const VkAllocationCallbacks *allocator,
    VkPipeline *out) {
  VkComputePipelineCreateInfo *copies = malloc(count * sizeof *copies);
  memcpy(copies, infos, count * sizeof *copies);
  for (uint32_t i = 0; i < count; i++) {
    copies[i].flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
    if (wants_assembly()) copies[i].flags |= VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
  }
  VkResult result =
      BELOW(device, vkCreateComputePipelines)(device, VK_NULL_HANDLE, count, copies, allocator, out);
  free(copies);
  for (uint32_t i = 0; result == VK_SUCCESS && i < count; i++) record(device, out[i]);
  return result;
}

// ---- Instance and device.

static VkLayerInstanceCreateInfo *link_of(const void *chain) {
  VkLayerInstanceCreateInfo *info = (VkLayerInstanceCreateInfo *)chain;
  // Instances and devices have the same chain but for the names of its type.
  while (info && !((info->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO ||
                    info->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO) &&
                   info->function == VK_LAYER_LINK_INFO))
    info = (VkLayerInstanceCreateInfo *)info->pNext;
  return info;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(
    const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator, VkInstance *out) {
  VkLayerInstanceCreateInfo *link = link_of(info->pNext);
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  below_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  PFN_vkCreateInstance create = (PFN_vkCreateInstance)below_instance(NULL, "vkCreateInstance");
  VkResult result = create(info, allocator, out);
  if (result == VK_SUCCESS) instance_in_use = *out;
  return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
    const VkAllocationCallbacks *allocator, VkDevice *out) {
  VkLayerDeviceCreateInfo *link = (VkLayerDeviceCreateInfo *)link_of(info->pNext);
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  below_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  // Statistics and disassembly are an extension that the program did not ask for.
  VkDeviceCreateInfo copy = *info;
  const char **names = malloc(sizeof *names * (info->enabledExtensionCount + 1));
  memcpy(names, info->ppEnabledExtensionNames, sizeof *names * info->enabledExtensionCount);
  names[copy.enabledExtensionCount++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
  copy.ppEnabledExtensionNames = names;
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, (void *)info->pNext,
      VK_TRUE};
  copy.pNext = &feature;
  VkResult result =
      ((PFN_vkCreateDevice)next(instance_in_use, "vkCreateDevice"))(physical, &copy, allocator, out);
  free(names);
  return result;
}

// ---- Memory: one type that both sides see; pages are reserved and taken when they are touched.

typedef struct {
  void *data;
  VkDeviceSize size;
} Block;

static void one_memory_type(VkPhysicalDeviceMemoryProperties *p) {
  memset(p, 0, sizeof *p);
  p->memoryTypeCount = 1;
  p->memoryTypes[0].propertyFlags =
      VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
      VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  p->memoryHeapCount = 1;
  p->memoryHeaps[0].size = 1ull << 34;
  p->memoryHeaps[0].flags = VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
}

static VKAPI_ATTR void VKAPI_CALL memory_properties(
    VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *properties) {
  one_memory_type(properties);
}

static VKAPI_ATTR void VKAPI_CALL memory_properties2(
    VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties2 *properties) {
  one_memory_type(&properties->memoryProperties);
}

static VKAPI_ATTR void VKAPI_CALL buffer_requirements(
    VkDevice device, VkBuffer buffer, VkMemoryRequirements *out) {
  BELOW(device, vkGetBufferMemoryRequirements)(device, buffer, out);
  out->memoryTypeBits = 1;
}

static VKAPI_ATTR void VKAPI_CALL buffer_requirements2(
    VkDevice device, const VkBufferMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *out) {
  BELOW(device, vkGetBufferMemoryRequirements2)(device, info, out);
  out->memoryRequirements.memoryTypeBits = 1;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice device, const VkMemoryAllocateInfo *info,
    const VkAllocationCallbacks *allocator, VkDeviceMemory *out) {
  Block *block = malloc(sizeof *block);
  block->size = info->allocationSize;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  block->data = mmap(NULL, block->size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (block->data == MAP_FAILED) {
    free(block);
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  *out = (VkDeviceMemory)block;
  return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL release(
    VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks *allocator) {
  Block *block = (Block *)memory;
  if (!block) return;
  munmap(block->data, block->size);
  free(block);
}

static VKAPI_ATTR VkResult VKAPI_CALL map_memory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset,
    VkDeviceSize size, VkMemoryMapFlags flags, void **out) {
  *out = (char *)((Block *)memory)->data + offset;
  return VK_SUCCESS;
}

// ---- Images are their sizes; views, fences and semaphores are names that nobody looks behind.

typedef struct {
  VkDeviceSize size;
} Image;

static VKAPI_ATTR VkResult VKAPI_CALL create_image(
    VkDevice device, const VkImageCreateInfo *info, const VkAllocationCallbacks *allocator, VkImage *out) {
  Image *image = malloc(sizeof *image);
  VkDeviceSize texels = (VkDeviceSize)info->extent.width * info->extent.height * info->extent.depth;
  // 16 bytes per texel are the most that WebGPU has; all levels of detail are less than twice the first.
  image->size = texels * info->arrayLayers * info->samples * 16 * (info->mipLevels > 1 ? 2 : 1);
  *out = (VkImage)image;
  return VK_SUCCESS;
}

static void image_size(VkImage image, VkMemoryRequirements *out) {
  out->size = ((Image *)image)->size;
  out->alignment = 4096;
  out->memoryTypeBits = 1;
}

static VKAPI_ATTR void VKAPI_CALL image_requirements(
    VkDevice device, VkImage image, VkMemoryRequirements *out) {
  image_size(image, out);
}

static VKAPI_ATTR void VKAPI_CALL image_requirements2(
    VkDevice device, const VkImageMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *out) {
  image_size(info->image, &out->memoryRequirements);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_name(
    VkDevice device, const void *info, const VkAllocationCallbacks *allocator, uint64_t *out) {
  *out = (uint64_t)(uintptr_t)malloc(sizeof(Image));
  return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy_name(
    VkDevice device, uint64_t name, const VkAllocationCallbacks *allocator) {
  free((void *)(uintptr_t)name);
}

static VKAPI_ATTR VkResult VKAPI_CALL no_descriptor(VkDevice device, const void *info, int *descriptor) {
  *descriptor = -1;
  return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL query_results(VkDevice device, VkQueryPool pool, uint32_t first,
    uint32_t count, size_t size, void *data, VkDeviceSize stride, VkQueryResultFlags flags) {
  memset(data, 0, size);
  return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL succeed() { return VK_SUCCESS; }
static VKAPI_ATTR void VKAPI_CALL nothing() {}

// ---- Which function stands for which name.

typedef struct {
  const char *name;
  PFN_vkVoidFunction function;
} Entry;
#define ENTRY(name, function) {#name, (PFN_vkVoidFunction)function}

static const Entry entries[] = {
    ENTRY(vkCreateComputePipelines, create_compute_pipelines),
    ENTRY(vkGetPhysicalDeviceMemoryProperties, memory_properties),
    ENTRY(vkGetPhysicalDeviceMemoryProperties2, memory_properties2),
    ENTRY(vkGetPhysicalDeviceMemoryProperties2KHR, memory_properties2),
    ENTRY(vkGetBufferMemoryRequirements, buffer_requirements),
    ENTRY(vkGetBufferMemoryRequirements2, buffer_requirements2),
    ENTRY(vkGetBufferMemoryRequirements2KHR, buffer_requirements2),
    ENTRY(vkAllocateMemory, allocate),
    ENTRY(vkFreeMemory, release),
    ENTRY(vkMapMemory, map_memory),
    ENTRY(vkUnmapMemory, nothing),
    ENTRY(vkFlushMappedMemoryRanges, succeed),
    ENTRY(vkInvalidateMappedMemoryRanges, succeed),
    ENTRY(vkBindBufferMemory, succeed),
    ENTRY(vkBindBufferMemory2, succeed),
    ENTRY(vkBindBufferMemory2KHR, succeed),
    ENTRY(vkBindImageMemory, succeed),
    ENTRY(vkBindImageMemory2, succeed),
    ENTRY(vkBindImageMemory2KHR, succeed),
    ENTRY(vkCreateImage, create_image),
    ENTRY(vkDestroyImage, destroy_name),
    ENTRY(vkGetImageMemoryRequirements, image_requirements),
    ENTRY(vkGetImageMemoryRequirements2, image_requirements2),
    ENTRY(vkGetImageMemoryRequirements2KHR, image_requirements2),
    ENTRY(vkCreateImageView, create_name),
    ENTRY(vkDestroyImageView, destroy_name),
    ENTRY(vkUpdateDescriptorSets, nothing),
    ENTRY(vkUpdateDescriptorSetWithTemplate, nothing),
    ENTRY(vkCreateFence, create_name),
    ENTRY(vkDestroyFence, destroy_name),
    ENTRY(vkResetFences, succeed),
    ENTRY(vkGetFenceStatus, succeed),
    ENTRY(vkWaitForFences, succeed),
    ENTRY(vkGetFenceFdKHR, no_descriptor),
    ENTRY(vkCreateSemaphore, create_name),
    ENTRY(vkDestroySemaphore, destroy_name),
    ENTRY(vkGetQueryPoolResults, query_results),
    ENTRY(vkBeginCommandBuffer, succeed),
    ENTRY(vkEndCommandBuffer, succeed),
    ENTRY(vkResetCommandBuffer, succeed),
    ENTRY(vkResetCommandPool, succeed),
    ENTRY(vkFreeCommandBuffers, nothing),
    ENTRY(vkDestroyCommandPool, nothing),
    ENTRY(vkQueueSubmit, succeed),
    ENTRY(vkQueueSubmit2, succeed),
    ENTRY(vkQueueSubmit2KHR, succeed),
    ENTRY(vkQueueBindSparse, succeed),
    ENTRY(vkQueueWaitIdle, succeed),
    ENTRY(vkDeviceWaitIdle, succeed),
};

static PFN_vkVoidFunction own_function(const char *name) {
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
    if (!strcmp(entries[i].name, name)) return entries[i].function;
  // Commands are dropped.
  return strncmp(name, "vkCmd", 5) ? NULL : (PFN_vkVoidFunction)nothing;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_function(VkDevice device, const char *name) {
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)device_function;
  PFN_vkVoidFunction driver = below_device(device, name);
  PFN_vkVoidFunction own = driver ? own_function(name) : NULL;
  return own ? own : driver;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instance_function(VkInstance instance, const char *name) {
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)instance_function;
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)device_function;
  if (!strcmp(name, "vkCreateInstance")) return (PFN_vkVoidFunction)create_instance;
  if (!strcmp(name, "vkCreateDevice")) return (PFN_vkVoidFunction)create_device;
  PFN_vkVoidFunction driver = instance && below_instance ? below_instance(instance, name) : NULL;
  PFN_vkVoidFunction own = driver ? own_function(name) : NULL;
  return own ? own : driver;
}

VK_LAYER_EXPORT VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(
    VkNegotiateLayerInterface *interface) {
  interface->loaderLayerInterfaceVersion = 2;
  interface->pfnGetInstanceProcAddr = instance_function;
  interface->pfnGetDeviceProcAddr = device_function;
  interface->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
