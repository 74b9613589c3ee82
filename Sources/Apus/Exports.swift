// `import Apus` is enough for the everyday parts of a service.

@_exported public import ApusAuth
@_exported public import ApusCore
@_exported public import ApusData
@_exported public import ApusHTTP
@_exported public import ApusJSON
@_exported public import ApusJobs
@_exported public import ApusRateLimit
@_exported public import ApusWebSocket
@_exported public import FoundationEssentials
@_exported public import HTTPTypes
@_exported public import Logging
@_exported public import NIOCore
@_exported public import ServiceLifecycle

#if GRPC
    @_exported public import ApusGRPC
#endif
