import ApusCore
package import GRPCCore
import SwiftProtobuf

/// Echoes its requests, so that tests can check how requests over HTTP are transcoded.
package struct OrderService: Apus_Test_Orders.SimpleServiceProtocol {
    package init() {}

    package func get(request: Apus_Test_OrderName, context: ServerContext) async throws -> Apus_Test_Order {
        guard request.name != "none" else {
            throw AppError(.notFound, "Order not found.", reason: "NO_ORDER")
        }
        return .with {
            $0.name = request.name
            $0.cents = 1250
            $0.placedAt.seconds = 1_700_000_000
        }
    }

    package func place(request: Apus_Test_Order, context: ServerContext) async throws -> Apus_Test_Order { request }

    package func change(request: Apus_Test_ChangeOrder, context: ServerContext) async throws -> Apus_Test_Order {
        var order = request.order
        if request.isUrgent { order.items.append("urgent") }
        return order
    }

    package func cancel(request: Apus_Test_OrderName, context: ServerContext) async throws -> Apus_Test_Order {
        .with {
            $0.name = request.name
            $0.state = request.name == "new" ? .unspecified : .cancelled
        }
    }

    package func list(request: Apus_Test_ListOrders, context: ServerContext) async throws -> Apus_Test_OrderList {
        .with { $0.orders = (0..<request.pageSize).map { number in .with { $0.name = "\(number)" } } }
    }

    package func search(request: Apus_Test_ListOrders, context: ServerContext) async throws -> Apus_Test_OrderList {
        .with { $0.request = request }
    }

    package func refund(request: Apus_Test_OrderName, context: ServerContext) async throws -> Apus_Test_OrderName {
        .with { $0.name = "refunded " + request.name }
    }

    package func reset(request: Apus_Test_OrderName, context: ServerContext) async throws -> Apus_Test_OrderName {
        request
    }

    package func purge(request: Apus_Test_OrderName, context: ServerContext) async throws -> Apus_Test_OrderName {
        .with { $0.name = "purged " + request.name }
    }

    package func move(request: Apus_Test_MoveOrder, context: ServerContext) async throws -> Apus_Test_MoveOrder {
        request
    }

    package func walk(request: Apus_Test_Node, context: ServerContext) async throws -> Apus_Test_Node { request }

    package func file(request: Apus_Test_OrderName, context: ServerContext) async throws -> Apus_Test_OrderName {
        request
    }
}
