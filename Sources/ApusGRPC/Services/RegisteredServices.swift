import GRPCCore

/// The methods and descriptions that a set of services has registered.
struct RegisteredServices {
    private(set) var router = RPCRouter<CallTransport>()
    let description: ServiceDescription
    /// The methods, sorted by name.
    let methods: [MethodDescriptor]

    init(_ services: [any RegistrableRPCService]) {
        var router = RPCRouter<CallTransport>()
        description = ServiceDescription.collecting {
            for service in services { service.registerMethods(with: &router) }
        }
        methods = router.methods.sorted { $0.fullyQualifiedMethod < $1.fullyQualifiedMethod }
        router.registerInterceptors(pipeline: [.apply(ErrorRecording(), to: .all)])
        self.router = router
    }

    /// The names and descriptor files of the services.
    var served: ServedServices {
        let names = Set(methods.map(\.service.fullyQualifiedService)).sorted()
        return ServedServices(names: names, files: description.files)
    }
}

/// The names and descriptor files of services, for health checking and reflection.
struct ServedServices: Sendable {
    /// The full names of the services.
    let names: [String]
    /// The files that declare the services: `google.protobuf.FileDescriptorProto` messages in base64.
    let files: [String]
}
