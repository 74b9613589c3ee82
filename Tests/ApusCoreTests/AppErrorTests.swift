import ApusCore
import Testing

@Suite struct AppErrorTests {
    private struct Leak: Error {
        let sql = "SELECT password FROM accounts"
    }

    @Test func `The description of an unknown error hides its details, the debug description shows them`() {
        let error = AppError(wrapping: Leak())
        #expect(error.code == .internal)
        #expect(!error.description.contains("password"))
        #expect(error.debugDescription.contains("SELECT password"))
    }

    @Test func `Wrapping keeps an AppError and maps a cancellation to CANCELLED`() {
        #expect(AppError(wrapping: AppError(.notFound, "No.")).code == .notFound)
        #expect(AppError(wrapping: CancellationError()).code == .cancelled)
    }

    @Test func `OK is not an error`() {
        #expect(AppError(.ok, "Fine.").code == .unknown)
    }

    @Test func `The 17 canonical status codes have the numbers of gRPC`() {
        #expect(StatusCode.allCases.map(\.rawValue) == Array(0...16))
        #expect(StatusCode(rawValue: 16)?.name == "UNAUTHENTICATED")
    }
}
