import ApusCore
import Testing

@Suite struct AppErrorTests {
    private struct Leak: Error {
        let sql = "SELECT password FROM accounts"
    }

    @Test func `An unknown error shows nothing of what is inside, and the log shows all of it`() {
        let error = AppError(wrapping: Leak())
        #expect(error.code == .internal)
        #expect(!error.description.contains("password"))
        #expect(error.debugDescription.contains("SELECT password"))
    }

    @Test func `An AppError wraps to itself and a cancellation to CANCELLED`() {
        #expect(AppError(wrapping: AppError(.notFound, "No.")).code == .notFound)
        #expect(AppError(wrapping: CancellationError()).code == .cancelled)
    }

    @Test func `OK is not an error`() {
        #expect(AppError(.ok, "Fine.").code == .unknown)
    }

    @Test func `There are the 17 canonical codes with gRPC's numbers`() {
        #expect(StatusCode.allCases.map(\.rawValue) == Array(0...16))
        #expect(StatusCode(rawValue: 16)?.name == "UNAUTHENTICATED")
    }
}
